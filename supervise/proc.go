package supervise

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/process"
)

// A task is a process that lives, as far as is known.
type task struct {
	pid    int
	unsure bool // it may be nobody of ours: it is not killed, and as long as it is there nothing is proven
}

// unreadable stands in a list for "there may be more".
const unreadable = 0

func unseen() []task { return []task{{unreadable, true}} }

// below returns the living descendants of root, without the tree under spare.
func below(looks *process.Lookout, root, spare int) []task {
	family, err := looks.Family()
	if err != nil {
		return unseen()
	}
	return familyOf(family.Children, []int{root}, spare)
}

// familyOf is descendants without the dead.
func familyOf(children func(int) ([]int, error), roots []int, spare int) []task {
	all, err := descendants(children, roots, spare)
	var found []task
	if err != nil {
		found = unseen()
	}
	for _, pid := range all {
		if !process.Ended(pid) {
			found = append(found, task{pid: pid})
		}
	}
	return found
}

// descendants are all below any of roots, without these and the tree under spare, each once, however many roots
// there are: it is made while a deadline runs. The error: some may be missing.
func descendants(children func(int) ([]int, error), roots []int, spare int) (found []int, failed error) {
	met := map[int]bool{spare: true}
	for _, pid := range roots {
		met[pid] = true
	}
	for queue := slices.Clone(roots); len(queue) > 0; queue = queue[1:] {
		list, err := children(queue[0])
		failed = errors.Join(failed, err)
		for _, pid := range list {
			if !met[pid] {
				met[pid] = true
				queue, found = append(queue, pid), append(found, pid)
			}
		}
	}
	return found, failed
}

// outside returns every living process but self and the tree under spare: all of a container.
func outside(looks *process.Lookout, self, spare int) []task {
	all, err := process.Numbers() // first: who is started later is in neither
	if err != nil {
		return unseen()
	}
	family, err := looks.Family()
	if err != nil {
		return unseen()
	}
	kept, err := spared(family.Children, self, spare)
	if err != nil {
		return unseen()
	}
	var found []task
	for _, pid := range all {
		if !kept[pid] && !process.Ended(pid) {
			found = append(found, task{pid, family.Unsure(pid)})
		}
	}
	return found
}

// spared are self and the tree under spare. Spare is 0 where nothing is spared; PID 1's parent has that number, and
// below it is everybody. It is walked twice: one walk may miss whom a thread that ends hands over to another meanwhile.
func spared(children func(int) ([]int, error), self, spare int) (map[int]bool, error) {
	kept := map[int]bool{self: true}
	if spare == 0 {
		return kept, nil
	}
	kept[spare] = true
	for range 2 {
		tree, err := descendants(children, []int{spare}, 0)
		if err != nil {
			return nil, err
		}
		for _, pid := range tree {
			kept[pid] = true
		}
	}
	return kept, nil
}

// freezePasses bounds the search for processes that are forked while others are being stopped.
const freezePasses = 10

// sweep stops what list finds until nothing new turns up, so that nobody forks away, then kills it.
func sweep(list func() []task) {
	stopped := map[int]bool{}
	for range freezePasses {
		fresh := false
		for _, t := range list() {
			if !t.unsure && !stopped[t.pid] {
				stopped[t.pid], fresh = true, true
				signalPID(t.pid, unix.SIGSTOP)
			}
		}
		if !fresh {
			break
		}
	}
	for pid := range stopped {
		signalPID(pid, unix.SIGKILL)
	}
}

// signalPID sends a signal; a process that has gone is what the sender wants, and one that may not be
// signalled stays in the process table, where the proof of death finds it.
func signalPID(pid int, sig unix.Signal) {
	if pid > 1 {
		_ = unix.Kill(pid, sig)
	}
}

func pids(list []task) []int {
	out := make([]int, 0, len(list))
	for _, t := range list {
		out = append(out, t.pid)
	}
	return out
}

// inode of a namespace, as /proc/PID/ns/NAME says.
func inode(pid, name string) (uint64, error) {
	link, err := os.Readlink("/proc/" + pid + "/ns/" + name)
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(link, "[")
	return strconv.ParseUint(strings.TrimSuffix(rest, "]"), 10, 64)
}
