//go:build bench

package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
)

// wrapper is one way to start the payload.
type wrapper struct {
	name string
	tool string // must be installed
	args func(t *testing.T, payload ...string) []string
	term bool // ends by TERM to itself: it would start an ended payload again
}

func before(args ...string) func(*testing.T, ...string) []string {
	return func(_ *testing.T, payload ...string) []string { return append(args[:len(args):len(args)], payload...) }
}

func wrappers(t *testing.T, s systems) []wrapper {
	all := []wrapper{
		{name: "bare exec", args: before()},
		{name: "tini", tool: "tini", args: before("tini", "-s", "--")},
		{name: "dumb-init", tool: "dumb-init", args: before("dumb-init")},
		{name: "s6-supervise", tool: "s6-supervise", args: s6, term: true},
		{name: "flock", tool: "flock", args: before("flock", filepath.Join(testkit.PublicDir(t), "lock"))},
	}
	for _, sys := range s.all() {
		all = append(all, wrapper{name: sys.name, args: before(sys.contender("start")...)})
	}
	return all
}

func s6(t *testing.T, payload ...string) []string {
	dir := testkit.PublicDir(t)
	script := "#!/bin/sh\nexec " + strings.Join(payload, " ") + "\n"
	if err := os.WriteFile(filepath.Join(dir, "run"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return []string{"s6-supervise", dir}
}

// TestBenchStart measures from right before the wrapper's process is made to
// the payload's main.
func TestBenchStart(t *testing.T) {
	s := newSystems(t)
	s.prepare(t, "start")
	all, rows := wrappers(t, s), []*Sample{}
	for _, w := range all {
		rows = append(rows, w.sample())
	}
	for range rounds(t, 30) {
		for i, w := range all {
			if rows[i].Measures() {
				rows[i].Add(w.once(t, s.payload, nil))
			}
		}
	}
	show(t, "start: spawn to the payload's first instruction", "ms", rows[0], rows...)
}

// TestBenchMemory takes the PSS of the wrapper and all its processes except
// the payload, half a second after the start.
func TestBenchMemory(t *testing.T) {
	s := newSystems(t)
	s.prepare(t, "start")
	var rows []*Sample
	all := wrappers(t, s)[1:]
	for _, w := range all {
		rows = append(rows, w.sample())
	}
	for range rounds(t, 5) {
		for i, w := range all {
			if !rows[i].Measures() {
				continue
			}
			var kib float64
			_, err := w.once(t, s.payload, func(p *testkit.Process, a arrival) (err error) {
				<-time.After(500 * time.Millisecond)
				kib, err = pss(p.Pid(), a.pid)
				return err
			})
			rows[i].Add(kib/1024, err)
		}
	}
	show(t, "memory: PSS of all processes but the payload", "MiB", nil, rows...)
}

func (w wrapper) sample() *Sample {
	if w.tool != "" {
		if _, err := exec.LookPath(w.tool); err != nil {
			return Absent(w.name, "not installed")
		}
	}
	return NewSample(w.name)
}

// once is one start and stop; during runs while the payload does.
func (w wrapper) once(t *testing.T, payload string, during func(*testkit.Process, arrival) error) (float64, error) {
	g := newGate(t)
	p := testkit.Start(t, w.args(t, payload, g.path)...)
	a, err := g.next(p)
	if err != nil {
		return 0, fmt.Errorf("%w: %s", err, lastLine(p.Stderr(t)))
	}
	if during != nil {
		if err := during(p, a); err != nil {
			return 0, err
		}
	}
	stop := a.terminate
	if w.term {
		stop = func() error { return syscall.Kill(p.Pid(), syscall.SIGTERM) }
	}
	if err := stop(); err != nil {
		return 0, err
	}
	return millis(a.start - p.Begun()), exited(p)
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// pss adds up the proportional set size, in KiB.
func pss(top, without int) (float64, error) {
	sum := 0.0
	for _, pid := range append(testkit.Descendants(top), top) {
		if pid == without {
			continue
		}
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return 0, err
		}
		_, rest, found := strings.Cut(string(raw), "\nPss:")
		var kib float64
		if _, err := fmt.Sscan(rest, &kib); err != nil || !found {
			return 0, fmt.Errorf("process %d: no Pss in smaps_rollup", pid)
		}
		sum += kib
	}
	return sum, nil
}
