// Package late is what the tests of late writes share: a payload that writes on command, a sync that may
// hang, and the question whether a volume is drained.
//
// Promise: the payload has taken its file before the fault and writes after it, as a real one does.
// Non-promise: it knows no filesystem; what the fault is and where a write arrives is the test's. Called
// by the tests below internal/vmtest and by those of mountcheck/drain. It must be in TestMain (Play).
package late

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/mountcheck/drain"
	"github.com/interlock-run/interlock/mountcheck/drain/flush"
)

// Limit bounds what takes a second, and a while on a loaded machine.
const Limit = 60 * time.Second

// role is the first argument of the test binary as one of the processes here.
const role = "vmtest-late"

// Play is for TestMain: it is one of the processes here if the arguments say so.
func Play() {
	if len(os.Args) != 4 || os.Args[1] != role {
		return
	}
	if err := act(os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func act(how, path string) error {
	switch how {
	case "sync":
		return flush.Sync(path)
	case "lazily":
		return unix.Unmount(path, unix.MNT_DETACH)
	case "force":
		return unix.Unmount(path, unix.MNT_FORCE)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if how == "remove" { // known, but not open: an open file would be given back to the server first
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return err
	}
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	switch how {
	case "write":
		if _, err = f.WriteString("late"); err == nil {
			fmt.Println("done")
			err = f.Sync()
		}
	case "push": // to a filesystem that does not take a write before its server has
		fmt.Println("done")
		_, err = f.WriteString("late")
	case "remove":
		fmt.Println("done")
		err = os.Remove(path)
	}
	return err
}

// A Payload is a process that has a file open.
type Payload struct {
	*testkit.Process
	t     testing.TB
	order *os.File
}

// Start starts one that will write to the path, or remove it.
func Start(t testing.TB, how, path string) *Payload {
	t.Helper()
	in, order, err := os.Pipe()
	must(t, err)
	cmd := exec.Command("/proc/self/exe", role, how, path)
	cmd.Stdin = in
	p := &Payload{Process: testkit.StartCmd(t, cmd), t: t, order: order}
	must(t, in.Close())
	t.Cleanup(func() { _ = order.Close() })
	p.said("ready\n")
	return p
}

func (p *Payload) said(want string) {
	p.t.Helper()
	testkit.Wait(p.t, Limit, func() (bool, string) {
		got := p.Stdout(p.t)
		return got == want, fmt.Sprintf("the payload has said %q, stderr %q", got, p.Stderr(p.t))
	})
}

// Act makes it write, and waits until the write is on its way.
func (p *Payload) Act() {
	p.t.Helper()
	_, err := p.order.WriteString("\n")
	must(p.t, err)
	p.said("ready\ndone\n")
}

// Hangs waits until it hangs in the write, or in its sync.
func (p *Payload) Hangs() {
	p.t.Helper()
	testkit.Wait(p.t, Limit, func() (bool, string) {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", p.Pid()))
		must(p.t, err)
		for _, task := range tasks {
			raw, err := os.ReadFile(task)
			var number, fd int
			if n, _ := fmt.Sscanf(string(raw), "%d 0x%x", &number, &fd); err == nil && n == 2 && (number == unix.SYS_WRITE || number == unix.SYS_FSYNC) && fd > 2 {
				return true, ""
			}
		}
		return false, "the payload does not hang in a write"
	})
}

// Kill ends it, as far as the kernel lets it go within d.
func (p *Payload) Kill(d time.Duration) (dead bool) {
	p.t.Helper()
	p.Signal(p.t, 9)
	select {
	case <-p.Exited():
		return true
	case <-time.After(d):
		return false
	}
}

// Unmount takes a mount away, "force" or "lazily", by processes that may hang in it, until the table of
// mounts lacks it. With force that takes two calls: the first ends what waits in the mount.
func Unmount(t testing.TB, dir, how string) {
	t.Helper()
	var last *testkit.Process
	testkit.Wait(t, Limit, func() (bool, string) {
		if !slices.Contains(testkit.MountsBelow(filepath.Dir(dir)), dir) {
			return true, ""
		}
		if last == nil || ended(last) {
			last = testkit.Start(t, "/proc/self/exe", role, how, dir)
		}
		return false, dir + " is still mounted"
	})
}

func ended(p *testkit.Process) bool {
	select {
	case <-p.Exited():
		return true
	default:
		return false
	}
}

// A Case is one volume that is asked about.
type Case struct {
	Plan   *drain.Plan
	Volume drain.Volume
	Done   drain.Evidence
	sync   *testkit.Process
}

// Capture is drain.Capture of one volume, closed with the test.
func Capture(t testing.TB, v drain.Volume) *Case {
	t.Helper()
	p, err := drain.Capture([]drain.Volume{v})
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	return &Case{Plan: p, Volume: v}
}

// Sync begins a sync, or looks whether the one that was begun has ended well.
func (c *Case) Sync(t testing.TB) {
	t.Helper()
	if c.sync == nil {
		c.sync = testkit.Start(t, "/proc/self/exe", role, "sync", c.Volume.Path)
	}
	if ended(c.sync) {
		c.Done.Synced = c.sync.Wait(t, Limit) == 0
	}
}

// Ask asks now.
func (c *Case) Ask() drain.Verdict {
	return c.Plan.Check(map[string]drain.Evidence{c.Volume.Path: c.Done})[0]
}

// Never asks for d, and fails the test at once if the answer is drained.
func (c *Case) Never(t testing.TB, d time.Duration) (last drain.Verdict) {
	t.Helper()
	testkit.Poll(d, func() (bool, string) {
		if c.sync != nil {
			c.Sync(t)
		}
		last = c.Ask()
		return last.State == drain.Drained, ""
	})
	if last.State == drain.Drained {
		t.Errorf("called drained (%s) while a write could still arrive", last.Why)
	}
	t.Logf("as long as it could arrive: %s: %s", last.State, last.Why)
	return last
}

// Until asks until the answer is the wanted one.
func (c *Case) Until(t testing.TB, want drain.State) {
	t.Helper()
	start := time.Now()
	testkit.Wait(t, Limit, func() (bool, string) {
		if c.sync != nil {
			c.Sync(t)
		}
		v := c.Ask()
		return v.State == want, fmt.Sprintf("%s: %s", v.State, v.Why)
	})
	t.Logf("%s after %v: %s", want, time.Since(start).Round(time.Millisecond), c.Ask().Why)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
