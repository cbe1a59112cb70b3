package supervise

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/process"
)

// A hanging is what makes reads hang for one guard and all below it: a FIFO without a writer, in the place of the files
// for which the kernel takes hold of a process's memory, in the guard's mount namespace. Who waits in it can be killed.
type hanging struct{ fifo string }

func newHanging(t *testing.T) hanging {
	t.Helper()
	h := hanging{filepath.Join(t.TempDir(), "fifo")}
	if err := unix.Mkfifo(h.fifo, 0o666); err != nil {
		t.Fatal(err)
	}
	return h
}

// ownMounts gives a guard the mount namespace in which that can be done.
func ownMounts() []string { return []string{"unshare", "--mount"} }

// put makes the looks at a process hang, by the number that the guard knows it by.
func (h hanging) put(t *testing.T, guard, pid int) {
	t.Helper()
	for _, name := range []string{"stat", "status", "statm", "cmdline", "environ"} {
		out, err := exec.Command("nsenter", "--target", strconv.Itoa(guard), "--mount",
			"mount", "--bind", h.fifo, "/proc/"+strconv.Itoa(pid)+"/"+name).CombinedOutput()
		if err != nil {
			t.Fatalf("mount: %v: %s", err, out)
		}
	}
}

// free lets go of who hangs in it.
func (h hanging) free(t *testing.T) {
	t.Helper()
	writer, err := os.OpenFile(h.fifo, os.O_RDWR, 0)
	if err == nil {
		err = writer.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// stranger is a process of somebody else.
func stranger(t *testing.T) (pid int, end func()) {
	t.Helper()
	p, err := os.StartProcess("/bin/sleep", []string{"sleep", "1000"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	ended := false
	end = func() {
		if ended {
			return
		}
		ended = true
		kerr := p.Kill()
		if _, err := p.Wait(); err != nil || kerr != nil {
			t.Error(kerr, err)
		}
	}
	t.Cleanup(end)
	return p.Pid, end
}

// The look at a stranger hangs, and those at all that the payload has started: the deadline is kept, and the proof comes.
func TestDeadlineWhileLooksHang(t *testing.T) {
	eachMode(t, func(t *testing.T, isolate string) {
		h := newHanging(t)
		g := startGuard(t, options{wrap: ownMounts()})
		other, _ := stranger(t)
		h.put(t, g.pid, other)
		g.begin(isolate, 0, 5*time.Second, self(t), "payload-under-test", "daemon")
		eventually(t, "daemon is there", func() bool { return g.payloadProcesses() >= 3 })
		for _, pid := range g.survivors() {
			h.put(t, g.pid, pid)
		}
		if e := g.event(Deadline); e.Stage != StageTerm {
			t.Errorf("%+v", e)
		}
		g.event(Exited)
		g.event(Empty)
		if n := g.payloadProcesses(); n != 0 {
			t.Errorf("%d processes after empty", n)
		}
		g.finishes(76)
	})
}

// A task that does not die is named, however many looks hang.
func TestStuckWhileLooksHang(t *testing.T) {
	eachMode(t, func(t *testing.T, isolate string) {
		h := newHanging(t)
		g, daemon := orphaned(t, isolate, options{wrap: ownMounts()})
		other, _ := stranger(t)
		h.put(t, g.pid, other)
		h.put(t, g.pid, daemon)
		thaw := freeze(t, daemon, freezer)
		g.order(command{Op: "kill", Tenure: 1})
		for range 2 {
			if e := g.event(Stuck); !slices.Contains(e.PIDs, daemon) || slices.Contains(e.PIDs, other) {
				t.Errorf("stuck names %v, expected %d and not %d", e.PIDs, daemon, other)
			}
		}
		thaw()
		g.event(Empty)
	})
}

// A container is empty when nobody is left in it, and the agent's tree is spared, also while the looks at all of them
// hang.
func TestContainerWhileLooksHang(t *testing.T) {
	needRoot(t)
	h := newHanging(t)
	g := startGuard(t, options{wrap: asPID1(false)})
	g.begin(IsolateAuto, 0, time.Minute, self(t), "payload-under-test", "daemon")
	eventually(t, "daemon is there", func() bool { return g.payloadProcesses() >= 3 })
	first := g.below(t)
	h.put(t, first, g.agent) // it told its own number
	for _, pid := range g.survivors() {
		h.put(t, first, inner(t, pid))
	}
	g.order(command{Op: "kill", Tenure: 1})
	g.event(Empty)
	if n := g.payloadProcesses(); n != 0 {
		t.Errorf("%d processes after empty", n)
	}
	g.finishes(7)
}

// inner is the number of a process in its own PID namespace.
func inner(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "NSpid:")
	line, _, _ := strings.Cut(rest, "\n")
	words := strings.Fields(line)
	number, err := strconv.Atoi(words[len(words)-1])
	if err != nil {
		t.Fatal(err)
	}
	return number
}

// A take-over ends the domain while the look at a stranger hangs. Where only its environment could tell that it is
// none of ours, it is not called dead.
func TestTakeOverWhileALookHangs(t *testing.T) {
	eachMode(t, func(t *testing.T, isolate string) {
		h := newHanging(t)
		g := startGuard(t, options{wrap: ownMounts()})
		other, end := stranger(t)
		h.put(t, g.pid, other)
		g.begin(isolate, 0, time.Minute, self(t), "payload-under-test", "daemon")
		eventually(t, "daemon is there", func() bool { return g.payloadProcesses() >= 3 })
		stop(t, g.pid)
		if isolate == IsolateNone {
			r := g.order(command{Op: "takeover", Timeout: 5 * time.Second, Env: []string{"INTERLOCK_TOKEN=7", "INTERLOCK_LOCK=l-" + g.mark}})
			if !strings.Contains(r.Err, "["+strconv.Itoa(other)+"] are not dead yet") {
				t.Errorf("%+v %q: expected that %d is not called dead", r.Proof, r.Err, other)
			}
			if n := g.payloadProcesses(); n != 0 {
				t.Errorf("%d processes after the take-over", n)
			}
			if process.Ended(other) {
				t.Error("the stranger was killed")
			}
			end()
			h.free(t)
		}
		checkTakeOver(t, g, isolate)
		g.exit()
	})
}
