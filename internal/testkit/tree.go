package testkit

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// Tree remembers a process and all below it, so that a test can ask later
// whether any of them still runs, wherever it was reparented to.
type Tree struct{ members []task }

// Snapshot takes the tree of pid as it is now.
func Snapshot(t testing.TB, pid int) Tree {
	t.Helper()
	top, ok := readTask(pid)
	if !ok {
		t.Fatalf("process %d does not exist", pid)
	}
	return Tree{members: append([]task{top}, descendants(pid)...)}
}

// Pids lists the members.
func (tr Tree) Pids() []int {
	var pids []int
	for _, p := range tr.members {
		pids = append(pids, p.pid)
	}
	return pids
}

// Alive lists the members that still run; a zombie does not.
func (tr Tree) Alive() []int {
	var pids []int
	for _, p := range tr.members {
		if !p.gone() {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

// WaitGone fails the test unless all members are dead within the limit.
func (tr Tree) WaitGone(t testing.TB, limit time.Duration) {
	t.Helper()
	Wait(t, limit, func() (bool, string) {
		left := tr.Alive()
		return len(left) == 0, fmt.Sprintf("still running: %v", left)
	})
}

// TreeGone tells whether pid runs no more and has no running descendant. For
// processes that may have been reparented take a Snapshot first.
func TreeGone(pid int) bool {
	p, ok := readTask(pid)
	return (!ok || p.dead()) && len(live(descendants(pid))) == 0
}

// Descendants lists the running processes below pid.
func Descendants(pid int) []int {
	var pids []int
	for _, p := range live(descendants(pid)) {
		pids = append(pids, p.pid)
	}
	return pids
}

// Parent is the number of a process's parent, 0 when it has ended meanwhile.
func Parent(pid int) int {
	p, _ := readTask(pid)
	return p.ppid
}

// Stopped is the process that stands still by a signal, pid or one below it; 0: none does.
func Stopped(pid int) int {
	top, _ := readTask(pid)
	for _, p := range append(descendants(pid), top) {
		if p.state == "T" {
			return p.pid
		}
	}
	return 0
}

// Orphans lists the running processes below this test process: as subreaper
// it inherits all that lost their parent.
func Orphans() []int { return Descendants(os.Getpid()) }

// ReapOrphan collects the status of a dead process that was reparented to the
// test process; it must not be one that Start or os/exec waits for.
func ReapOrphan(t testing.TB, pid int) {
	t.Helper()
	p, err := os.FindProcess(pid)
	must(t, err)
	_, err = p.Wait()
	must(t, err)
}
