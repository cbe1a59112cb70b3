package field

import (
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A Run is one start of a contender, as it is now: its processes by their parts.
type Run struct {
	Host      string // contender and start, as in the payloads' log
	Contender *Contender
	Guard     Task
	Agent     Task   // no process if there is none
	Init      Task   // of the PID namespace, likewise
	Payloads  []Task // the tree
	Rest      []Task // probe helpers, workers
}

// All lists every process of it, the payloads first.
func (r Run) All() []Task {
	all := slices.Clone(r.Payloads)
	for _, t := range append([]Task{r.Init}, append(r.Rest, r.Agent, r.Guard)...) {
		if t.PID != 0 {
			all = append(all, t)
		}
	}
	return all
}

// Now looks at the contender's processes; false says that no run is on.
func (c *Contender) Now() (Run, bool) {
	c.mu.Lock()
	p, host := c.proc, c.host()
	c.mu.Unlock()
	if p == nil || p.ended() || p.task.PID == 0 {
		return Run{}, false
	}
	r := Run{Host: host, Contender: c, Guard: p.task}
	for _, t := range below(p.task.PID) {
		switch name := t.arg0(); {
		case strings.HasPrefix(name, "interlock-agent"):
			r.Agent = t
		case strings.HasPrefix(name, "interlock-init"):
			r.Init = t
		case name == c.field.Payload:
			r.Payloads = append(r.Payloads, t)
		default:
			r.Rest = append(r.Rest, t)
		}
	}
	return r, true
}

func (c *Contender) host() string { return hostName(c.Name, c.starts) }

// Stats are how often it was started, and how the runs ended.
func (c *Contender) Stats() (starts int, codes map[int]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.starts, maps.Clone(c.codes)
}

// Cgroup is the group that holds a process, in the v2 tree; empty if it is none that interlock made.
func Cgroup(t Task) string {
	raw, err := os.ReadFile(procFile(t.PID, "cgroup"))
	if err != nil {
		return "" // it ended
	}
	for line := range strings.Lines(string(raw)) {
		path, v2 := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !v2 || !strings.Contains(path, "/interlock-") {
			continue
		}
		for _, root := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
			if _, err := os.Stat(root + path + "/cgroup.freeze"); err == nil {
				return root + path
			}
		}
	}
	return ""
}

// endStrays kills the payloads of this field that are left, most of them on their way out, and says so.
func (f *Field) endStrays() error {
	var strays []Task
	for _, t := range below(os.Getpid()) {
		line, err := os.ReadFile(procFile(t.PID, "cmdline"))
		if err != nil {
			continue // it ended
		}
		if argv := strings.Split(string(line), "\x00"); argv[0] == f.Payload && slices.Contains(argv, f.Trace) {
			strays = append(strays, t)
		}
	}
	if len(strays) > 0 {
		f.Log.Info("payloads left at the end are killed now", "processes", len(strays))
	}
	return Signal(unix.SIGKILL, strays...)
}
