package vmtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// bootedHere tells the first process of a machine from that of a container in which go test runs.
func bootedHere() bool {
	_, err := os.Stat(guestJob)
	return err == nil
}

// The words that the host gives on the kernel's command line are in the tests' environment.
const (
	markVar = "VMTEST_MARK"
	bootVar = "VMTEST_BOOT"
)

// beInit is the machine's first process: it prepares the machine, runs the tests as a child, reaps what
// they orphan, writes the verdict and switches off. It does not return.
func beInit() {
	err := prepare()
	line, openErr := openLine()
	err = errors.Join(err, openErr)
	code, mark := 1, ""
	if err == nil {
		var words map[string]string
		if words, err = bootWords(); err == nil {
			mark = words["mark"]
			code, err = runTests(line, words)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "vmtest: first process:", err) // the console
	}
	if line != nil {
		fmt.Fprintf(line, "\n%s exit %d\n", mark, code)
		// Without a sync: a hung mount must not hold the end back.
		_ = unix.IoctlSetInt(int(line.Fd()), unix.TCSBRK, 1)
	}
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	for {
		_ = unix.Pause()
	}
}

func prepare() error {
	var errs []error
	for _, m := range []struct{ fstype, at, data string }{
		{"proc", "/proc", ""}, {"sysfs", "/sys", ""}, {"devtmpfs", "/dev", ""}, {"devpts", "/dev/pts", ""},
		{"tmpfs", "/dev/shm", ""}, {"tmpfs", "/run", "mode=755"}, {"tmpfs", "/tmp", "mode=1777"},
		{"cgroup2", "/sys/fs/cgroup", ""},
	} {
		err := os.MkdirAll(m.at, 0o755)
		errs = append(errs, err, os.NewSyscallError("mount "+m.at, unix.Mount(m.fstype, m.at, m.fstype, 0, m.data)))
	}
	errs = append(errs, os.MkdirAll("/run/rpc_pipefs", 0o755), os.MkdirAll("/run/lock", 0o755),
		os.Symlink("/proc/self/fd", "/dev/fd"), os.Setenv("PATH", toolPath), unix.Sethostname([]byte("guest")),
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "")) // as systemd has it
	return errors.Join(errs...)
}

// openLine gives the serial line to the host, which changes no byte.
func openLine() (*os.File, error) {
	line, err := os.OpenFile("/dev/ttyS1", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	t, err := unix.IoctlGetTermios(int(line.Fd()), unix.TCGETS)
	if err != nil {
		return line, err
	}
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ICANON | unix.ISIG
	return line, unix.IoctlSetTermios(int(line.Fd()), unix.TCSETS, t)
}

// bootWords are those of the kernel's command line that begin with vmtest.
func bootWords() (map[string]string, error) {
	raw, err := os.ReadFile("/proc/cmdline")
	words := map[string]string{}
	for _, w := range strings.Fields(string(raw)) {
		if name, is := strings.CutPrefix(w, "vmtest."); is {
			key, value, _ := strings.Cut(name, "=")
			words[key] = value
		}
	}
	return words, err
}

func runTests(line *os.File, words map[string]string) (int, error) {
	raw, err := os.ReadFile(guestJob)
	if err != nil {
		return 1, err
	}
	var j job
	if err := json.Unmarshal(raw, &j); err != nil {
		return 1, err
	}
	commands := [][]string{{"ip", "link", "set", "lo", "up"}}
	for _, m := range j.Modules {
		commands = append(commands, []string{"modprobe", m})
	}
	for _, c := range commands {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			return 1, fmt.Errorf("%v: %w: %s", c, err, out)
		}
	}
	if only := words["only"]; only != "" {
		j.Args = append(j.Args, "-test.run=^"+only+"$")
	}
	cmd := exec.Command(guestTest, j.Args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = guestDir, line, line
	cmd.Env = append(j.Env, markVar+"="+words["mark"], bootVar+"="+words["boot"])
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	return reapUntil(cmd.Process.Pid)
}

// reapUntil takes the status of every orphan until that of the tests comes.
func reapUntil(pid int) (int, error) {
	for {
		var ws unix.WaitStatus
		got, err := unix.Wait4(-1, &ws, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 1, os.NewSyscallError("wait4", err)
		case got == pid && ws.Exited():
			return ws.ExitStatus(), nil
		case got == pid && ws.Signaled():
			return 128 + int(ws.Signal()), nil
		}
	}
}

// Boot counts the resets that this run has seen.
func Boot(t testing.TB) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv(bootVar))
	if err != nil {
		t.Fatalf("%s: %v", bootVar, err)
	}
	return n
}

// ExpectReset tells the host that the machine is about to be reset, and that this test alone is to run
// again after that. So it has to be the last of its package.
func ExpectReset(t testing.TB) {
	t.Helper()
	line, err := os.OpenFile("/dev/ttyS1", os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer line.Close()
	if _, err := fmt.Fprintf(line, "\n%s reset %s\n", os.Getenv(markVar), t.Name()); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetInt(int(line.Fd()), unix.TCSBRK, 1); err != nil {
		t.Fatal(err)
	}
}
