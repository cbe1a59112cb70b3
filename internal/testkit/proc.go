package testkit

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// task names one process beyond doubt: a number may be given out again, a
// number with its start time not.
type task struct {
	pid   int
	start string
	name  string
	state string
	ppid  int
}

func (p task) String() string { return fmt.Sprintf("%d (%s, state %s)", p.pid, p.name, p.state) }

// dead is also true for a zombie: it runs no instruction any more.
func (p task) dead() bool { return p.state == "Z" || p.state == "X" }

// readTask reports false when there is no such process.
func readTask(pid int) (task, bool) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return task{}, false
	}
	return parseStat(pid, string(raw))
}

// parseStat cuts at the last parenthesis: a process may call itself ") R 1".
func parseStat(pid int, stat string) (task, bool) {
	open, end := strings.IndexByte(stat, '('), strings.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return task{}, false
	}
	f := strings.Fields(stat[end+1:])
	if len(f) < 20 {
		return task{}, false
	}
	ppid, err := strconv.Atoi(f[1])
	if err != nil {
		return task{}, false
	}
	if f[0] == "Z" && f[17] != "0" && f[17] != "1" {
		f[0] = "Z, but other threads are not" // stuck in the kernel, or the first one ended by itself
	}
	return task{pid: pid, name: stat[open+1 : end], state: f[0], ppid: ppid, start: f[19]}, true
}

// same tells whether the process is still the one that was seen.
func (p task) same() (task, bool) {
	now, ok := readTask(p.pid)
	return now, ok && now.start == p.start
}

// gone is true once the process runs no more, whether reaped or not.
func (p task) gone() bool {
	now, ok := p.same()
	return !ok || now.dead()
}

// tasks lists every process that /proc shows.
func tasks() []task {
	names, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var all []task
	for _, n := range names {
		pid, err := strconv.Atoi(n.Name())
		if err != nil {
			continue
		}
		if p, ok := readTask(pid); ok {
			all = append(all, p)
		}
	}
	return all
}

// descendants lists the processes below pid, nearest first, zombies too.
func descendants(pid int) []task {
	children := map[int][]task{}
	for _, p := range tasks() {
		children[p.ppid] = append(children[p.ppid], p)
	}
	var found []task
	for next := []int{pid}; len(next) > 0; {
		var below []int
		for _, parent := range next {
			for _, c := range children[parent] {
				found = append(found, c)
				below = append(below, c.pid)
			}
		}
		next = below
	}
	return found
}

// live keeps those that still run.
func live(all []task) []task {
	var out []task
	for _, p := range all {
		if !p.dead() {
			out = append(out, p)
		}
	}
	return out
}
