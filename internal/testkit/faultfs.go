package testkit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// faultLimit bounds the answer to a command.
const faultLimit = 20 * time.Second

// FaultFSTool is the FUSE filesystem that fails on command.
func FaultFSTool() ModuleTool {
	return ModuleTool{Module: "modules/faultfs", Package: ".", Name: "faultfs"}
}

// FaultFS is one such filesystem, served by a process of its own.
type FaultFS struct {
	*Process
	Dir  string // where it is mounted
	Back string // what it shows, and where its writes land

	orders  *os.File
	answers int
}

// StartFaultFS mounts one. Every write is sent to the address relay first, unless that is empty. The
// package needs MainWithMounts. A test that starts processes which may hang in it calls Free at the end,
// by a Cleanup that comes after theirs: nobody else can end them.
func StartFaultFS(t testing.TB, relay string) *FaultFS {
	t.Helper()
	return startFaultFS(t, relay, exec.Command)
}

// FaultFS is StartFaultFS with the daemon on the island.
func (i *Island) FaultFS(t testing.TB, relay string) *FaultFS {
	t.Helper()
	return startFaultFS(t, relay, func(name string, args ...string) *exec.Cmd { return i.Command(append([]string{name}, args...)...) })
}

func startFaultFS(t testing.TB, relay string, command func(string, ...string) *exec.Cmd) *FaultFS {
	t.Helper()
	RequireRoot(t)
	if _, err := os.Stat("/dev/fuse"); err != nil {
		Skip(t, "fuse", err.Error())
	}
	root, err := ModuleRoot()
	must(t, err)
	ctx, cancel := buildTime(t)
	defer cancel()
	binary, err := FaultFSTool().Build(ctx, root)
	if err != nil {
		Skip(t, "faultfs", "it cannot be built: "+err.Error())
	}
	base := t.TempDir()
	f := &FaultFS{Dir: filepath.Join(base, "mnt"), Back: filepath.Join(base, "back")}
	must(t, errors.Join(os.Mkdir(f.Dir, 0o755), os.Mkdir(f.Back, 0o755)))
	in, orders, err := os.Pipe()
	must(t, err)
	f.orders = orders
	cmd := command(binary, "-back", f.Back, "-mount", f.Dir, "-relay", relay)
	cmd.Stdin = in
	f.Process = StartCmd(t, cmd)
	must(t, in.Close())
	t.Cleanup(func() { f.Free(); _ = orders.Close() })
	f.answer(t, "mounted")
	return f
}

// Set gives it a command: "ok", "hang [OP,…]", "error ERRNO [OP,…]" or "slow DURATION [OP,…]". What hung
// goes on.
func (f *FaultFS) Set(t testing.TB, command string) {
	t.Helper()
	_, err := f.orders.WriteString(command + "\n")
	must(t, err)
	f.answer(t, "done")
}

// Holds waits until it has taken an operation that hangs in it. Who waits for one that was not taken yet
// can still be killed.
func (f *FaultFS) Holds(t testing.TB) {
	t.Helper()
	Wait(t, faultLimit, func() (bool, string) {
		_, err := f.orders.WriteString("holds\n")
		must(t, err)
		return f.next(t) != "holds 0", "nothing hangs in faultfs"
	})
}

func (f *FaultFS) answer(t testing.TB, want string) {
	t.Helper()
	if got := f.next(t); got != want {
		t.Fatalf("faultfs answered %q, expected %q", got, want)
	}
}

// next is its next answer.
func (f *FaultFS) next(t testing.TB) (answer string) {
	t.Helper()
	f.answers++
	Wait(t, faultLimit, func() (bool, string) {
		lines := strings.SplitAfter(f.Stdout(t), "\n")
		if len(lines) <= f.answers {
			return false, fmt.Sprintf("faultfs has not answered; stderr: %s", f.Stderr(t))
		}
		answer = strings.TrimSpace(lines[f.answers-1])
		return true, ""
	})
	return answer
}

// Free ends whatever waits in it, by breaking the connection, and unmounts it. It may be called again, and
// after an unmount by the test.
func (f *FaultFS) Free() {
	for range 3 {
		if !slices.Contains(MountsBelow(filepath.Dir(f.Dir)), f.Dir) {
			break
		}
		_ = unix.Unmount(f.Dir, unix.MNT_FORCE) // the first one breaks, and finds it busy
	}
	_ = unix.Unmount(f.Dir, unix.MNT_DETACH) // most often there is nothing left
	// A connection without a mount ends with its daemon. Of requests that it holds, none is carried out any more.
	_ = f.cmd.Process.Kill() // it may have ended
}

// Lands tells whether a file of the directory behind it has this content.
func (f *FaultFS) Lands(name, content string) bool {
	got, err := os.ReadFile(filepath.Join(f.Back, name))
	return err == nil && bytes.Equal(got, []byte(content))
}
