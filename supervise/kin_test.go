package supervise

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/interlock-run/interlock/internal/process"
)

// After the guard's death: what was seen and all below it, but nobody who was given such a number later.
func TestKinAfterTheGuard(t *testing.T) {
	parent, child := otherFamily(t)
	another, below := otherFamily(t)
	unknown, _ := otherFamily(t)
	_, neverSeen := otherFamily(t)
	dead := zombie(t)
	started := func(pid int) string {
		s, err := process.Read(pid)
		if err != nil {
			t.Fatal(err)
		}
		return s.Start
	}
	k := &kin{seen: map[int]string{parent: started(parent), another: "1", dead: started(dead), unknown: ""}}
	want := []task{{parent, false}, {child, false}, {unknown, true}}
	got := k.members()
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("kin %v: expected %v among them", got, w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("kin %v: expected %v, and not %d, %d, %d, %d", got, want, another, below, neverSeen, dead)
	}
}

// What was seen, and hangs when it is looked at, is not called dead: nor is it killed, since nothing else tells whether
// the number is still its own. It stays seen, as what it was.
func TestKinThatHangs(t *testing.T) {
	_, known := otherFamily(t)
	_, unknown := otherFamily(t)
	seen := map[int]string{known: "1", unknown: ""}
	k, free := &kin{seen: seen}, make(chan struct{})
	defer close(free)
	k.looks.ReadFile = func(path string) ([]byte, error) { <-free; return nil, errors.New(path) }
	for range 2 {
		got := k.members()
		if len(got) != 2 || !slices.Contains(got, task{known, true}) || !slices.Contains(got, task{unknown, true}) {
			t.Errorf("kin %v: expected %d and %d, unsure", got, known, unknown)
		}
		if k.look(0); !maps.Equal(k.seen, seen) {
			t.Errorf("seen %v, expected %v", k.seen, seen)
		}
	}
}

// A descendant of the guard whose look hangs is seen all the same, and asked for its start until that is known.
func TestKinIsSeenThoughItHangs(t *testing.T) {
	_, child := otherFamily(t)
	want, err := process.Read(child)
	if err != nil {
		t.Fatal(err)
	}
	k, free := &kin{}, make(chan struct{})
	k.looks.ReadFile = func(path string) ([]byte, error) {
		<-free
		return os.ReadFile(path)
	}
	k.note([]int{child})
	if seen := (map[int]string{child: ""}); !maps.Equal(k.seen, seen) {
		t.Errorf("seen %v, expected %v", k.seen, seen)
	}
	close(free)
	eventually(t, "its start is known", func() bool {
		k.note([]int{child, 1 << 30}) // that one is gone
		return maps.Equal(k.seen, map[int]string{child: want.Start})
	})
	k.looks.ReadFile = func(string) ([]byte, error) { <-t.Context().Done(); return nil, t.Context().Err() }
	if k.note([]int{child}); !maps.Equal(k.seen, map[int]string{child: want.Start}) {
		t.Errorf("a look that hangs makes %v of it", k.seen)
	}
	k.looks.ReadFile = nil
}

// A number that another descendant has by now stands for that one.
func TestKinOfAUsedNumber(t *testing.T) {
	_, child := otherFamily(t)
	want, err := process.Read(child)
	if err != nil {
		t.Fatal(err)
	}
	k := &kin{seen: map[int]string{child: "1"}}
	if k.note([]int{child}); !maps.Equal(k.seen, map[int]string{child: want.Start}) {
		t.Errorf("seen %v, expected %q", k.seen, want.Start)
	}
}

// zombie is a child that has ended and is not reaped before the test's end.
func zombie(t *testing.T) int {
	t.Helper()
	p, err := os.StartProcess("/bin/true", []string{"true"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := p.Wait(); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "it has ended", func() bool { return process.Ended(p.Pid) })
	return p.Pid
}

// The number of a guard that has died may be another's by now, and its children are none of ours.
func TestKinOfAnotherGuard(t *testing.T) {
	parent, child := otherFamily(t)
	k := &kin{}
	k.look(parent)
	if len(k.seen) != 0 {
		t.Errorf("seen %v: expected nobody, %d is not the parent of this process", k.seen, parent)
	}
	k.look(os.Getpid()) // nor are our own
	if _, ok := k.seen[child]; ok {
		t.Errorf("seen %v: expected nobody", k.seen)
	}
}

// otherFamily is a process with a child, both of no concern to the test.
func otherFamily(t *testing.T) (parent, child int) {
	t.Helper()
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	shell, err := os.StartProcess("/bin/sh", []string{"sh", "-c", "sleep 60 & echo $!; exec 1>&-; wait"}, &os.ProcAttr{Files: []*os.File{nil, in, nil}, Sys: &syscall.SysProcAttr{Setpgid: true}})
	if err := errors.Join(err, in.Close()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Kill(-shell.Pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
		if _, err := shell.Wait(); err != nil {
			t.Error(err)
		}
	})
	if _, err := fmt.Fscan(out, &child); err != nil {
		t.Fatal(err)
	}
	return shell.Pid, child
}
