package supervise

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// As PID 1, whose parent has the number 0: once the agent is reaped nobody is spared.
func TestSpared(t *testing.T) {
	family := map[int][]int{0: {1}, 1: {7, 20}, 7: {8}, 8: {9}, 20: {21}}
	children := func(pid int) ([]int, error) { return family[pid], nil }
	for _, c := range []struct {
		spare int
		want  []int
	}{{7, []int{1, 7, 8, 9}}, {0, []int{1}}} {
		kept, err := spared(children, 1, c.spare)
		if got := slices.Sorted(maps.Keys(kept)); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("spare %d: %v, %v, want %v", c.spare, got, err, c.want)
		}
	}
}

// A thread of the agent ends while the lists are read, and its children go to one whose list was read before.
func TestSparedIsWalkedTwice(t *testing.T) {
	walks := 0
	children := func(pid int) ([]int, error) {
		if walks++; pid == 7 && walks > 1 {
			return []int{8}, nil
		}
		return nil, nil
	}
	if kept, err := spared(children, 1, 7); err != nil || !kept[8] {
		t.Errorf("%v, %v: expected that 8, which is there, is spared", kept, err)
	}
}

// Where the tree of the agent could be read only in part nobody is known to be outside; below the guard are those that
// were found, and there may be more.
func TestTreeInPart(t *testing.T) {
	children := func(pid int) ([]int, error) {
		if pid == 8 {
			return nil, unix.EMFILE
		}
		return []int{8}, nil
	}
	if kept, err := spared(children, 1, 7); !errors.Is(err, unix.EMFILE) {
		t.Errorf("%v, %v: expected an error", kept, err)
	}
	if found := familyOf(children, []int{7}, 0); !slices.Contains(found, task{unreadable, true}) {
		t.Errorf("%v: expected that there may be more", found)
	}
}

// Roots may be below other roots; each below them is found once, and in time among thousands.
func TestDescendantsOfThousands(t *testing.T) {
	const many = 20000
	family := map[int][]int{}
	var roots, want []int
	for pid := 1; pid <= many; pid++ {
		family[pid-1] = []int{pid}
		if pid%2 == 0 {
			roots = append(roots, pid)
		} else if pid > 2 {
			want = append(want, pid)
		}
	}
	began := time.Now()
	got, err := descendants(func(pid int) ([]int, error) { return family[pid], nil }, roots, -1)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%d and %v: expected each of %d once", len(got), err, len(want))
	}
}
