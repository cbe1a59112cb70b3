package config_test

import (
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/config"
)

// device is the least that a device by nbd needs, with more flags.
func device(flags ...string) config.Inputs {
	in := inputs(flags...)
	for flag, value := range map[string]string{"device-attach-nbd": "nbd-1/orders", "device-attach-dev": "/dev/nbd0", "device-mount-path": "/srv/db"} {
		if in.Flags[flag] == nil {
			in.Flags[flag] = []string{value}
		}
	}
	return in
}

func TestDeviceServer(t *testing.T) {
	for _, c := range []struct {
		text, host, export string
		port               int
	}{{"nbd-1", "nbd-1", "", 0}, {"10.0.0.1:10810/a/b", "10.0.0.1", "a/b", 10810}, {"[::1]:1/x", "::1", "x", 1}, {"[::1]", "::1", "", 0}} {
		cfg, _, err := config.Load(device("--device-attach-nbd", c.text))
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if host, port, export := cfg.Device.Attach.Server(); host != c.host || port != c.port || export != c.export {
			t.Errorf("%s: %q %d %q", c.text, host, port, export)
		}
	}
}

// What a device must not be told, each with the line that says why.
func TestDeviceRefused(t *testing.T) {
	for _, c := range []struct {
		flag, value, want string
	}{
		{"device-attach-nbd", "nbd://h/x", "HOST[:PORT]"},
		{"device-attach-nbd", "h:99999", "HOST[:PORT]"},
		{"device-attach-nbd", "-persist", "HOST[:PORT]"},
		{"device-attach-dev", "nbd0", "below /dev"},
		{"device-attach-dev", "/dev/sda", "a device of the nbd driver"},
		{"device-attach-timeout", "0s", "more than 0"},
		{"device-detach-exec", `["x"]`, "one way to attach"},
		{"device-uuid", "6d1c2f0e", "a UUID such as"},
		{"device-fstype", "btrfs", "ext4, xfs"},
		{"device-mount-path", "/", "a directory below /"},
		{"device-mount-opts", `["errors=continue"]`, "without errors=continue"},
		{"device-mount-opts", `["nouuid"]`, "without nouuid"},
		{"device-mount-opts", `["norecovery"]`, "without norecovery"},
		{"device-mount-opts", `["ro"]`, "without ro"},
		{"device-mount-opts", `["loop=/dev/loop9"]`, "without loop"},
		{"device-mount-opts", `["offset=0"]`, "without offset"},
		{"device-mount-opts", `["sizelimit=1048576"]`, "without sizelimit"},
		{"device-mount-opts", `["X-mount.subdir=db"]`, "without X-mount.subdir"},
		{"device-mount-opts", `["a,b"]`, "one in each element"},
		{"device-fsck", "yes", "never, preen, command"},
		{"device-fsck", "command", "device.fsck_exec is missing"},
		{"device-fsck-exec", `["e2fsck"]`, "only device.fsck command runs it"},
		{"device-state-dir", "/srv/db/x", "lies on the device"},
		{"lock", "file:///srv/db/lock", "lies on the device"},
		{"mount", "/srv/db,fstype=xfs", "contradicts device.fstype ext4"},
		{"mount", "/srv/db/more", "expected no other mount there"},
	} {
		expectProblems(t, device("--"+c.flag, c.value), c.want)
	}
}

func TestDeviceByCommand(t *testing.T) {
	by := func(attach string, more ...string) config.Inputs {
		return inputs(append([]string{"--device-attach-exec", attach, "--device-detach-exec", `["rbd","unmap","/dev/rbd0"]`,
			"--device-attach-dev", "/dev/rbd0", "--device-mount-path", "/srv/db"}, more...)...)
	}
	expectProblems(t, by(`["rbd","map","pool/image"]`))
	expectProblems(t, by(`["nbd-client","-t","5","h","/dev/nbd0"]`))
	for attach, want := range map[string]string{
		`["nbd-client","h","/dev/nbd0"]`:                                       "with -timeout SECONDS",
		`["sh","-c","nbd-client -timeout=5 -persist h /dev/nbd0"]`:             "without -persist",
		`["nbd-client","-t","5","-p","h","/dev/nbd0"]`:                         "without -persist",
		`["/usr/sbin/nbd-client","-t","5","-connections","4","h","/dev/nbd0"]`: "with one connection",
		`["nbd-client","-t","5","-C=2","h","/dev/nbd0"]`:                       "with one connection",
		`["rbd-nbd","map","x"]`:                                                "leaves no process behind",
	} {
		expectProblems(t, by(attach), want)
	}
	for fsck, want := range map[string]string{
		`["xfs_repair","-L"]`: "xfs_repair -L", `["sh","-c","e2fsck -y $1","x"]`: "e2fsck -y", `["tune2fs","-f","-E","clear_mmp"]`: "tune2fs clear_mmp",
	} {
		expectProblems(t, by(`["x"]`, "--device-fsck", "command", "--device-fsck-exec", fsck), want)
	}
	expectProblems(t, inputs("--device-attach-exec", `["x"]`), "device.detach.exec is missing", "device.attach.dev is missing", "device.mount.path is missing")
	expectProblems(t, inputs("--device-uuid", "6d1c2f0e-5f6f-4c8e-9a53-0c9d1a7f2b10"), "there is no device")
}

// A stop and a start with a device take longer, and say so.
func TestDeviceNeeds(t *testing.T) {
	without, _, _ := config.Load(inputs("--mount", "/srv/db"))
	with, _, err := config.Load(device("--mount", "/srv/db", "--device-limits-detach", "7s"))
	if err != nil {
		t.Fatal(err)
	}
	if got := with.StopNeed().Total - without.StopNeed().Total; got != 14*time.Second {
		t.Errorf("a stop needs %v more", got)
	}
	if got := with.StartNeed().Total - without.StartNeed().Total; got != with.Device.UpNeed() {
		t.Errorf("a start needs %v more", got)
	}
}
