package lifecycle

import (
	"bufio"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/worker"
	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/mountcheck/drain"
	"github.com/interlock-run/interlock/mountcheck/rescue"
	"github.com/interlock-run/interlock/supervise"
)

// A scriptedGround stands for the machine's storage: each named mount is a volume whose drain and levers the test
// decides, and the drain's workers do what it says.
type scriptedGround struct {
	*testing.T
	guard *scriptedGuard

	mu      sync.Mutex
	states  map[string][]drain.State // what is answered, one after the other, the last one again and again
	asked   map[string][]drain.Evidence
	gone    map[string]bool // from the mount table
	hidden  map[string]bool // gone from its place, but still mounted
	hangs   map[string]bool // its sync
	failing map[string]bool
	blind   bool // captures fail
	haunted bool // what earlier payloads sent may still arrive
	held    map[string]heldSync
	synced  []string
	pulled  []string
	levers  map[string][]rescue.Lever
	onPull  func(rescue.Lever) error
	sleeps  bool
	resets  int
}

type heldSync struct {
	id  uint32
	out int
}

// grounded begins a run on these mounts.
func grounded(t *testing.T, states map[string][]drain.State, prepare func(*Plan, *run, *scriptedGround)) (*run, *scriptedGround) {
	t.Helper()
	g := &scriptedGround{T: t, states: states, asked: map[string][]drain.Evidence{}, gone: map[string]bool{}, hidden: map[string]bool{}, hangs: map[string]bool{},
		failing: map[string]bool{}, held: map[string]heldSync{}, levers: map[string][]rescue.Lever{}, sleeps: true}
	x := begin(t, func(p *Plan, x *run) {
		g.guard = x.guard
		x.guard.onStart = g.start
		x.ground = &ground{paths: g.paths, trace: g.trace, mounted: g.mounted, drain: g.capture, rescue: g.look, asleep: g.asleep, reset: g.reset}
		if prepare != nil {
			prepare(p, x, g)
		}
	})
	return x, g
}

// paths are named; the watch knows nothing of them.
func (g *scriptedGround) paths(Plan) (named, others []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Sorted(maps.Keys(g.states)), nil
}

func (g *scriptedGround) trace(path string) (mountcheck.Mount, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gone[path] || g.hidden[path] || g.states[path] == nil {
		return mountcheck.Mount{ID: 1, Point: "/", FSType: "ext4", Source: "/dev/vda"}, nil
	}
	return mountcheck.Mount{ID: 100 + len(path), Unique: 7, Point: path, FSType: "nfs4", Source: "server:" + path}, nil
}

func (g *scriptedGround) mounted(m mountcheck.Mount) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.gone[m.Point], nil
}

func (g *scriptedGround) capture(v drain.Volume) (quiet, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.blind {
		return nil, errors.New("nothing can be seen")
	}
	return scriptedVolume{g, v.Path}, nil
}

func (g *scriptedGround) look(path string) ([]rescue.Lever, levers, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.blind {
		return nil, nil, errors.New("nothing can be seen")
	}
	return g.levers[path], scriptedVolume{g, path}, nil
}

func (g *scriptedGround) asleep([]int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sleeps
}

func (g *scriptedGround) reset() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.resets++
	return errors.New("this is a test")
}

type scriptedVolume struct {
	g    *scriptedGround
	path string
}

func (v scriptedVolume) Check(done map[string]drain.Evidence) []drain.Verdict {
	v.g.mu.Lock()
	defer v.g.mu.Unlock()
	v.g.asked[v.path] = append(v.g.asked[v.path], done[v.path])
	states := v.g.states[v.path]
	if len(states) > 1 {
		v.g.states[v.path] = states[1:]
	}
	return []drain.Verdict{{Path: v.path, State: states[0], Why: "the test says so"}}
}

func (v scriptedVolume) Outlook() []drain.Verdict {
	return []drain.Verdict{{Path: v.path, State: drain.Drained, Why: "after a sync"}}
}

func (v scriptedVolume) Local(string) bool { return false }
func (v scriptedVolume) Close() error      { return nil }

func (v scriptedVolume) Earlier(string) bool {
	v.g.mu.Lock()
	defer v.g.mu.Unlock()
	return !v.g.haunted
}

func (v scriptedVolume) Pull(l rescue.Lever, _ time.Duration) error {
	v.g.mu.Lock()
	v.g.pulled = append(v.g.pulled, l.Kind+" "+v.path)
	pull := v.g.onPull
	v.g.mu.Unlock()
	var err error
	if pull != nil {
		err = pull(l)
	}
	if l.Kind == rescue.Detach && err == nil {
		v.g.set(func() { v.g.gone[v.path] = true })
	}
	return err
}

// start is the guard's: a worker that syncs answers, or hangs.
func (g *scriptedGround) start(s supervise.Spec) bool {
	if !s.Worker {
		return false
	}
	line, err := bufio.NewReader(s.Stdin).ReadBytes('\n')
	var q worker.Request
	if err != nil || json.Unmarshal(line, &q) != nil || q.Op != worker.OpDrain || len(q.Paths) != 1 {
		g.Errorf("request %q, %v: expected one sync of one path", line, err)
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	path := q.Paths[0]
	g.synced = append(g.synced, path)
	fd, err := syscall.Dup(int(s.Stdout.Fd()))
	if err != nil {
		g.Error(err)
		return false
	}
	h := heldSync{s.ID, fd}
	if g.hangs[path] {
		g.held[path] = h
		g.Cleanup(func() { g.drop(path) })
		return true
	}
	h.answer(g, !g.failing[path])
	return false
}

func (h heldSync) answer(g *scriptedGround, ok bool) {
	text := `{"ok":true}`
	if !ok {
		text = `{"kind":"io","error":"sync: input/output error"}`
	}
	if _, err := syscall.Write(h.out, []byte(text+"\n")); err != nil {
		g.Error(err)
	}
	_ = syscall.Close(h.out)
}

// returns lets a sync that hangs come back.
func (g *scriptedGround) returns(path string, ok bool) {
	g.mu.Lock()
	h, found := g.held[path]
	delete(g.held, path)
	g.mu.Unlock()
	if found {
		h.answer(g, ok)
		g.guard.events <- supervise.Event{Kind: supervise.Exited, ID: h.id}
	}
}

// drop closes what a sync has that never came back.
func (g *scriptedGround) drop(path string) {
	g.set(func() {
		if h, found := g.held[path]; found {
			_ = syscall.Close(h.out)
		}
	})
}

func (g *scriptedGround) set(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
}

// count is how often something was said; questions of one volume, levers pulled, resets.
func (g *scriptedGround) see() (asked map[string][]drain.Evidence, pulled, synced []string, resets int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	asked = map[string][]drain.Evidence{}
	for k, v := range g.asked {
		asked[k] = slices.Clone(v)
	}
	return asked, slices.Clone(g.pulled), slices.Clone(g.synced), g.resets
}
