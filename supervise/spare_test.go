package supervise

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/process"
)

// ahead are the living processes below the guard that play one of these roles.
func (g *guarded) ahead(roles ...string) []int {
	g.t.Helper()
	var found []int
	for _, t := range below(&process.Lookout{}, g.pid, g.agent) {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(t.pid) + "/cmdline")
		name, _, _ := strings.Cut(string(b), "\x00")
		if err == nil && slices.Contains(roles, name) {
			found = append(found, t.pid)
		}
	}
	return found
}

func (g *guarded) spares() []int {
	g.t.Helper()
	var found []int
	eventually(g.t, "two spares wait", func() bool {
		found = g.ahead(RoleSpare, RoleWorkerSpare)
		return len(found) == 2
	})
	return found
}

// Spares know nothing before their order, become what was ordered, and those not needed end.
func TestSpares(t *testing.T) {
	needRoot(t)
	g := startGuard(t, options{})
	waiting := g.spares()
	for _, pid := range append(waiting, g.ahead(RoleInit)...) {
		if b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ"); err != nil || len(b) != 0 {
			t.Errorf("process %d, made ahead, has the environment %q (%v)", pid, b, err)
		}
	}
	started := g.begin(IsolatePIDNS, 0, time.Minute, "sleep", "1000")
	if !slices.Contains(waiting, started.PID) {
		t.Errorf("payload is %d, expected one of the spares %v", started.PID, waiting)
	}
	eventually(t, "the other spare ends", func() bool { return len(g.ahead(RoleSpare, RoleWorkerSpare)) == 0 })
	g.order(command{Op: "kill", Tenure: 1})
	g.event(Empty)
	if left := g.ahead(RoleSpare, RoleWorkerSpare, RoleInit); len(left) != 0 {
		t.Errorf("%v are left after the kill", left)
	}
}

// The first worker is a spare, the second is not: both are given their streams and say their end.
func TestWorkers(t *testing.T) {
	eachMode(t, func(t *testing.T, isolate string) {
		g := startGuard(t, options{})
		var waiting []int
		if isolate == IsolatePIDNS {
			waiting = g.spares()
		}
		g.prepare(isolate, 0)
		g.lease(time.Minute)
		for id := uint32(1); id <= 2; id++ {
			out := filepath.Join(t.TempDir(), "out")
			g.order(command{Op: "start", Path: out, Spec: Spec{ID: id, Tenure: 1, Worker: true, Argv: []string{"a b"}, Env: []string{"INTERLOCK_TOKEN=7"}}})
			if e := g.event(Started); isolate == IsolatePIDNS && slices.Contains(waiting, e.PID) != (id == 1) {
				t.Errorf("worker %d is process %d; spares were %v", id, e.PID, waiting)
			}
			if e := g.event(Exited); e.ID != id || e.Status.ExitStatus() != 3 {
				t.Errorf("%+v", e)
			}
			if b, err := os.ReadFile(out); err != nil || string(b) != "worker [a b] token 7 mark "+g.mark+" secret \n" {
				t.Errorf("worker %d said %q (%v)", id, b, err)
			}
		}
	})
}

// The courier is another role: it leaves the spare to the first worker, and alone is given what the kill
// domain must not get.
func TestCourier(t *testing.T) {
	eachMode(t, func(t *testing.T, isolate string) {
		g := startGuard(t, options{})
		var waiting []int
		if isolate == IsolatePIDNS {
			waiting = g.spares()
		}
		g.prepare(isolate, 0)
		g.lease(time.Minute)
		for id, s := range []Spec{
			{Courier: true, Worker: true, Env: []string{"INTERLOCK_TOKEN=7", "S3_KEY=k"}},
			{Worker: true, Env: []string{"INTERLOCK_TOKEN=7"}},
		} {
			s.ID, s.Tenure = uint32(id+1), 1
			out := filepath.Join(t.TempDir(), "out")
			g.order(command{Op: "start", Path: out, Spec: s})
			if e := g.event(Started); isolate == IsolatePIDNS && slices.Contains(waiting, e.PID) == s.Courier {
				t.Errorf("process %d (courier: %v); spares were %v", e.PID, s.Courier, waiting)
			}
			g.event(Exited)
			want := "worker [] token 7 mark " + g.mark + " secret \n"
			if s.Courier {
				want = "courier [] token 7 mark " + g.mark + " secret k\n"
			}
			if b, err := os.ReadFile(out); err != nil || string(b) != want {
				t.Errorf("it said %q (%v), expected %q", b, err, want)
			}
		}
	})
}

// Without a wish for a namespace the one that was made ahead ends, before anything is prepared.
func TestEarlyNamespaceThatIsNotWanted(t *testing.T) {
	for _, isolate := range []string{IsolateCgroup, IsolateNone} {
		t.Run(isolate, func(t *testing.T) {
			needRoot(t)
			g := startGuard(t, options{})
			g.spares()
			g.prepare(isolate, 0)
			if left := g.ahead(RoleSpare, RoleWorkerSpare, RoleInit); len(left) != 0 {
				t.Errorf("%v are left", left)
			}
		})
	}
}

// What was made ahead may have died: it is made again, or done without.
func TestEarlyProcessesThatDied(t *testing.T) {
	needRoot(t)
	for name, roles := range map[string][]string{"init": {RoleInit}, "spares": {RoleSpare, RoleWorkerSpare}} {
		t.Run(name, func(t *testing.T) {
			g := startGuard(t, options{})
			g.spares()
			made := g.ahead(roles...)
			for _, pid := range made {
				send(t, pid, syscall.SIGKILL)
			}
			for _, pid := range made {
				eventually(t, "it is reaped", func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
			}
			if e := g.begin(IsolatePIDNS, 0, time.Minute, "sh", "-c", "exit 5"); e.PID == 0 {
				t.Errorf("%+v", e)
			}
			if e := g.event(Exited); e.Status.ExitStatus() != 5 {
				t.Errorf("%+v", e)
			}
		})
	}
}

// A guard that ends before Prepare leaves nothing of what it made ahead.
func TestEarlyNamespaceEndsWithTheRun(t *testing.T) {
	needRoot(t)
	g := startGuard(t, options{})
	made := append(g.spares(), g.ahead(RoleInit)...)
	if len(made) != 3 {
		t.Fatalf("made ahead: %v", made)
	}
	g.order(command{Op: "exit", Code: 64})
	g.wantCode(64)
	for _, pid := range made {
		if !process.Ended(pid) {
			t.Errorf("process %d outlived the guard", pid)
		}
	}
}

// A spare that was given an order and no go ends with its guard: it never becomes the command.
func TestSpareWithoutGo(t *testing.T) {
	needRoot(t)
	file := filepath.Join(t.TempDir(), "went")
	n := &nursery{argv: []string{"x"}, pids: map[int]uint32{}}
	var err error
	if n.null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
		t.Fatal(err)
	}
	if n.envFile, err = writeEnv(os.Environ()); err != nil {
		t.Fatal(err)
	}
	n.addSpare(true, []string{RoleSpare})
	pid := n.spares[0].pid
	near, far, err := newPair()
	if err != nil {
		t.Fatal(err)
	}
	if !n.takeSpare(Spec{ID: 1, Payload: true, Argv: []string{"touch", file}}, far) {
		t.Fatal("the spare took no order")
	}
	far.Close()
	m, err := near.recv(make([]byte, 64))
	if err != nil || (&unpacker{b: m.body}).num() != msgHello {
		t.Fatalf("hello: %+v %v", m, err)
	}
	near.close()
	if st := waitFor(t, pid); !st.Exited() || st.ExitStatus() != exitInternal {
		t.Errorf("spare ended with %#x", uint32(st))
	}
	wantNoFile(t, file)
}
