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

// A task is one line of the process table: what is needed to walk the tree.
type task struct {
	pid, ppid int
	start     string // with the number it names one process for ever
	dead      bool
}

// tasks reads the process table. A process that goes away meanwhile is left out: it is gone. One that may not
// be looked at (hidepid) is listed with neither parent nor start; any other failure is one of the whole.
func tasks() ([]task, error) {
	if err := process.OwnView(); err != nil {
		return nil, err
	}
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var list []task
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			t, err := readTask(pid)
			switch {
			case err == nil:
				list = append(list, t)
			case !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ESRCH):
				return nil, err
			}
		}
	}
	return list, nil
}

func readTask(pid int) (task, error) {
	s, err := process.Read(pid)
	if errors.Is(err, os.ErrPermission) {
		return task{pid: pid, ppid: hidden}, nil
	}
	return task{pid, s.Parent, s.Start, s.Ended()}, err
}

// hidden is the parent of a process that lives and may not be looked at; no process has this number.
const hidden = -1

// below returns the living descendants of root, without the tree under spare.
func below(list []task, root, spare int) []task { return descendants(list, []int{root}, spare) }

// descendants are the living below any of roots, without these and the tree under spare, each once. It walks
// the list once, however many roots there are: it is made while a deadline runs.
func descendants(list []task, roots []int, spare int) []task {
	children := map[int][]task{}
	for _, t := range list {
		children[t.ppid] = append(children[t.ppid], t)
	}
	met := map[int]bool{spare: true}
	for _, pid := range roots {
		met[pid] = true
	}
	var found []task
	for queue := slices.Clone(roots); len(queue) > 0; queue = queue[1:] {
		for _, t := range children[queue[0]] {
			if met[t.pid] {
				continue
			}
			met[t.pid] = true
			queue = append(queue, t.pid)
			if !t.dead {
				found = append(found, t)
			}
		}
	}
	return found
}

// outside returns every living process but self and the tree under spare: all of a container. Spare is 0
// where nothing is spared; PID 1's parent has that number, and below it is everybody.
func outside(list []task, self, spare int) []task {
	kept := map[int]bool{self: true}
	if spare > 0 {
		kept[spare] = true
		for _, t := range below(list, spare, 0) {
			kept[t.pid] = true
		}
	}
	var found []task
	for _, t := range list {
		if !kept[t.pid] && !t.dead {
			found = append(found, t)
		}
	}
	return found
}

// freezePasses bounds the search for processes that are forked while others are being stopped.
const freezePasses = 10

// sweep stops what list finds until nothing new turns up, so that nobody forks away, then kills it.
func sweep(list func() []task) {
	stopped := map[int]bool{}
	for range freezePasses {
		fresh := false
		for _, t := range list() {
			if !stopped[t.pid] {
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
