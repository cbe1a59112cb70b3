package supervise

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"
)

// After the guard's death: what was seen and all below it, but nobody who was given such a number later.
func TestKinAfterTheGuard(t *testing.T) {
	k := &kin{seen: map[int]task{7: {pid: 7, start: "70"}, 8: {pid: 8, start: "80"}, 9: {pid: 9, start: "90"}}}
	got := pids(k.members([]task{
		{1, 0, "1", false},
		{7, 1, "70", false},    // seen
		{8, 1, "81", false},    // another with the number of one that was seen
		{9, 1, "90", true},     // dead
		{20, 7, "200", false},  // below it
		{21, 20, "210", false}, // and below that
		{30, 1, "300", false},  // never seen
	}))
	slices.Sort(got)
	if want := []int{7, 20, 21}; !slices.Equal(got, want) {
		t.Errorf("kin %v: expected %v", got, want)
	}
}

// Who was seen may be below another who was; and it is found in time among thousands.
func TestKinOfThousands(t *testing.T) {
	const many, first = 20000, 1 << 23 // above every real number, such as our own
	k := &kin{seen: map[int]task{}}
	var list []task
	for pid := first; pid < first+many; pid++ {
		list = append(list, task{pid, pid - 1, "1", false})
		if pid%2 == 0 {
			k.seen[pid] = list[len(list)-1]
		}
	}
	began := time.Now()
	got := pids(k.members(list))
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %v", took)
	}
	slices.Sort(got)
	if !slices.Equal(got, pids(list)) {
		t.Errorf("%d kin: expected each of %d once", len(got), len(list))
	}
}

// The number of a guard that has died may be another's by now, and its children are none of ours.
func TestKinOfAnotherGuard(t *testing.T) {
	parent, child := otherFamily(t)
	k := &kin{seen: map[int]task{}}
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
