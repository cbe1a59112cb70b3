package warden

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
)

// commandOf is the variable by which this test binary is a warden, and for which command.
const commandOf = "WARDEN_TEST_COMMAND"

func TestMain(m *testing.M) {
	if path := os.Getenv(commandOf); path != "" {
		os.Args = []string{Name, strconv.Itoa(os.Getppid()), path}
		os.Exit(Main())
	}
	testkit.Main(m)
}

// The look at a stranger's process hangs, and that at what the command leaves behind: all of it is killed the same, and
// the warden ends. Each hangs in a FIFO without a writer, in the place of the file, for this warden alone.
func TestLooksThatHang(t *testing.T) {
	testkit.RequireRoot(t)
	dir := t.TempDir()
	fifo, path, left := filepath.Join(dir, "fifo"), filepath.Join(dir, "command"), filepath.Join(dir, "left")
	hang := fmt.Sprintf("for f in stat status cmdline environ; do mount --bind %s /proc/$p/$f || exit 9; done;", fifo)
	command := fmt.Sprintf("#!/bin/sh\nsetsid sleep 1000 & p=$!; echo $p >%s; %s exit 3\n", left, hang)
	if err := errors.Join(unix.Mkfifo(fifo, 0o600), os.WriteFile(path, []byte(command), 0o755)); err != nil {
		t.Fatal(err)
	}
	stranger := testkit.Start(t, "sleep", "1000")
	report, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	hold, held, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = errors.Join(report.Close(), held.Close()) }()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// exec keeps the number, so the warden's caller is this test.
	cmd := exec.Command("unshare", "--mount", "sh", "-c", fmt.Sprintf("p=%d; %s exec %s", stranger.Pid(), hang, self))
	cmd.Env = append(os.Environ(), commandOf+"="+path)
	cmd.ExtraFiles = []*os.File{hold, to}
	w := testkit.StartCmd(t, cmd)
	if err := errors.Join(hold.Close(), to.Close()); err != nil {
		t.Fatal(err)
	}
	if code := w.Wait(t, time.Minute); code != 0 {
		t.Errorf("the warden ended with %d", code)
	}
	if r, err := Read(report); err != nil || r.Code != 3 {
		t.Errorf("%+v, %v: expected exit status 3", r, err)
	}
	text, err := os.ReadFile(left)
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(string(text), &pid); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("what the command left behind, %d, lives: %v", pid, err)
	}
}
