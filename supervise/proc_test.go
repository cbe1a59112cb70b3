package supervise

import (
	"errors"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// A process table that could be read only in part is none: whoever is missing in it would count as dead.
func TestTasksAllOrError(t *testing.T) {
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	few := unix.Rlimit{Cur: min(64, before.Max), Max: before.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	var open []*os.File
	for err := error(nil); err == nil && len(open) <= 64; {
		var f *os.File
		if f, err = os.Open(os.DevNull); err == nil {
			open = append(open, f)
		}
	}
	_ = open[0].Close() // for the directory; none is left for a process in it
	list, err := tasks()
	whole := brood{agent: &agentProcess{reaped: true}, whole: true}
	empty, found := whole.empty(), (&Link{}).kindred([]string{"NOBODY=x"})
	for _, f := range open[1:] {
		_ = f.Close()
	}
	if rerr := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); rerr != nil {
		t.Fatal(rerr)
	}
	if !errors.Is(err, unix.EMFILE) {
		t.Errorf("%d processes and %v: expected an error", len(list), err)
	}
	if empty || len(found) == 0 {
		t.Errorf("empty %v, kin %v: expected that nothing is known", empty, found)
	}
}

// What may not be looked at is somebody: it counts in a container, and is nobody's child.
func TestHiddenTaskLives(t *testing.T) {
	list := []task{{1, 0, "1", false}, {7, 1, "2", false}, {pid: 9, ppid: hidden}}
	if got := pids(outside(list, 1, 7)); !slices.Equal(got, []int{9}) {
		t.Errorf("in the container: %v, expected 9", got)
	}
	if got := pids(below(list, 0, 0)); !slices.Equal(got, []int{1, 7}) {
		t.Errorf("below 0: %v, expected 1 and 7", got)
	}
}
