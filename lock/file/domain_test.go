package file

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/sys/mountinfo"

	"github.com/interlock-run/interlock/internal/testkit"
)

func here(t *testing.T) Domain {
	t.Helper()
	d, err := Here()
	must(t, err)
	return d
}

func mustProve(t *testing.T, d Domain, want bool, when string) {
	t.Helper()
	if got, how := ProvenEmpty(d); got != want || how == "" {
		t.Fatalf("%s: proven empty %v (%q), expected %v and a reason", when, got, how, want)
	}
}

// What is not said in the record proves nothing.
func TestUnknownIsNotEmpty(t *testing.T) {
	d := here(t)
	mustProve(t, d, false, "a record without cgroup and namespace")
	d.PIDNS = 1 // no such namespace
	mustProve(t, d, true, "a namespace that nobody is in")
	for _, boot := range []string{"", "00000000-0000-0000-0000-000000000000"} {
		other := d
		other.BootID = boot
		mustProve(t, other, false, "boot "+boot)
	}
	own := d
	own.PIDNS = d.PIDNSCreator
	mustProve(t, own, false, "our own namespace")
	d.CgroupID, d.CgroupPath = 1, "/no-such-cgroup"
	mustProve(t, d, false, "an empty namespace and a cgroup that is absent")
}

// inPIDNS starts a process as the first of a PID namespace.
func inPIDNS(t *testing.T, role string, change func(*exec.Cmd), args ...string) *started {
	t.Helper()
	if os.Geteuid() != 0 {
		testkit.Skip(t, "root", "needs the right to make a PID namespace")
	}
	return start(t, role, func(c *exec.Cmd) {
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
		if change != nil {
			change(c)
		}
	}, args...)
}

func TestPIDNamespace(t *testing.T) {
	p := inPIDNS(t, "keep", nil)
	d := here(t)
	var err error
	d.PIDNS, err = inode(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "ns/pid"))
	must(t, err)
	mustProve(t, d, false, "its init lives")
	blindProofs(t, d)
	p.kill()
	mustProve(t, d, true, "its init was reaped")
}

// blindProofs asks from places that do not see the namespace, while its init lives: each would find no
// process in it.
func blindProofs(t *testing.T, d Domain) {
	t.Helper()
	text, err := json.Marshal(d)
	must(t, err)
	for name, change := range map[string]func(*exec.Cmd){
		"another namespace with the outer /proc": nil,
		"another namespace with its own /proc":   func(c *exec.Cmd) { c.Env = append(c.Env, "MOUNT=hidepid=0") },
	} {
		if said := inPIDNS(t, "proof", change, string(text)).says("empty"); !strings.HasPrefix(said, "false ") {
			t.Errorf("%s: %q, expected no proof", name, said)
		}
	}
	hiding := start(t, "proof", func(c *exec.Cmd) {
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
		c.Env = append(c.Env, "MOUNT=hidepid=2")
	}, string(text))
	if said := hiding.says("empty"); !strings.HasPrefix(said, "false ") || !strings.Contains(said, "hidepid") {
		t.Errorf("a /proc that hides processes: %q, expected no proof", said)
	}
	nobody := start(t, "proof", asNobody, string(text))
	if said := nobody.says("empty"); !strings.HasPrefix(said, "false ") {
		t.Errorf("a user who may not look at all processes: %q, expected no proof", said)
	}
}

// testCgroup makes a cgroup v2 of our own.
func testCgroup(t *testing.T) (dir, path string) {
	t.Helper()
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup2"))
	must(t, err)
	if len(mounts) == 0 {
		testkit.Skip(t, "cgroup v2", "none is mounted")
	}
	path = "/lock-file-test-" + strconv.Itoa(os.Getpid())
	dir = filepath.Join(mounts[0].Mountpoint, path)
	if err := os.Mkdir(dir, 0o755); err != nil {
		testkit.Skip(t, "cgroup v2", err.Error())
	}
	return dir, path
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func TestCgroup(t *testing.T) {
	dir, path := testCgroup(t)
	sub := filepath.Join(dir, "sub")
	t.Cleanup(func() { must(t, errors.Join(removeIfThere(sub), removeIfThere(dir))) })
	must(t, os.Mkdir(sub, 0o755))
	d := here(t)
	var err error
	d.CgroupPath = path
	d.CgroupID, err = inode(dir)
	must(t, err)
	f, err := os.Open(sub)
	must(t, err)
	p := start(t, "keep", func(c *exec.Cmd) {
		c.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(f.Fd())}
	})
	must(t, f.Close())
	mustProve(t, d, false, "a process lives below it")
	p.kill()
	mustProve(t, d, true, "nothing lives in it")
	notThisCgroup(t, d)
	must(t, os.Remove(sub))
	must(t, os.Remove(dir))
	mustProve(t, d, false, "it is absent")
	must(t, os.Mkdir(dir, 0o755))
	mustProve(t, d, false, "another one has its name")
}

// notThisCgroup changes one thing at a time of a record that proves an empty cgroup.
func notThisCgroup(t *testing.T, d Domain) {
	t.Helper()
	for name, change := range map[string]func(*Domain){
		"other namespace": func(d *Domain) { d.CgroupNS++ }, "no namespace": func(d *Domain) { d.CgroupNS = 0 },
		"other inode": func(d *Domain) { d.CgroupID++ }, "no path": func(d *Domain) { d.CgroupPath = "" },
		"path that climbs": func(d *Domain) { d.CgroupPath = "/.." + d.CgroupPath }, "the root": func(d *Domain) { d.CgroupPath = "/" },
		"other boot": func(d *Domain) { d.BootID = "other" },
	} {
		changed := d
		change(&changed)
		mustProve(t, changed, false, name)
	}
}
