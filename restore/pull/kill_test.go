package pull

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/restore"
)

// puller is the command with break points.
func puller(t testing.TB) string { return testkit.Program(t, "./testdata/puller", "breakpoints") }

const limit = 2 * time.Minute

// An order is what the puller is told.
type order struct {
	Store, Data, State string
	Token              fence.Token
	Settings           Settings
	Load               []string
	Verify             bool
}

func (s *scene) order(set Settings) order {
	return order{Store: s.store, Data: s.data, State: s.state, Token: s.token, Settings: set}
}

func startPuller(t *testing.T, o order, env ...string) *testkit.Process {
	t.Helper()
	exe := puller(t)
	text, err := json.Marshal(o)
	must(t, err)
	cmd := exec.Command(exe)
	cmd.Stdin, cmd.Env = bytes.NewReader(text), append(os.Environ(), env...)
	return testkit.StartCmd(t, cmd)
}

// killedAt runs a puller to a point, and fails unless it was killed there.
func killedAt(t *testing.T, o order, point string) {
	t.Helper()
	p := startPuller(t, o, "BREAKPOINT="+point+"=kill")
	if code := p.Wait(t, limit); code != 128+int(syscall.SIGKILL) && code != -1 {
		t.Fatalf("%s: exit %d: expected it to be killed: %s", point, code, p.Stderr(t))
	}
}

func ends(t *testing.T, o order) {
	t.Helper()
	p := startPuller(t, o)
	if code := p.Wait(t, limit); code != 0 {
		t.Fatalf("exit %d: %s", code, p.Stderr(t))
	}
}

// sentinel tells whether a start sentinel lies there.
func (s *scene) sentinel(t *testing.T) bool {
	t.Helper()
	for _, p := range Sentinels() {
		_, err := os.Lstat(filepath.Join(s.data, p))
		if err == nil {
			return true
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			t.Fatal(err)
		}
	}
	return false
}

// safe: killed there, nothing can start on it by mistake: not called clean, unless all of it is there; no
// sentinel once it was begun, unless all of it is there.
func (s *scene) safe(t *testing.T, before restore.State) {
	t.Helper()
	now := restore.Inspect(s.data, s.state, 0)
	if now.Trouble != "" {
		t.Fatal(now.Trouble)
	}
	begun := now.State.Phase == restore.PhaseRestoring
	clean := now.State.Phase == restore.PhaseClean && now.State.Origin != before.Origin
	if clean {
		s.same(t)
	}
	if !begun {
		return
	}
	if err := restore.StartTenure(s.target()); err == nil {
		t.Error("a tenure started on a restore that did not end")
	}
	if s.sentinel(t) {
		s.almost(t)
	}
}

// almost: all is there but what lies above a sentinel, or is one.
func (s *scene) almost(t *testing.T) {
	t.Helper()
	for _, p := range []string{"base/1/rows", "base/2/zeros", "sparse", "base/1/small199"} {
		a, err := os.ReadFile(filepath.Join(s.from, p))
		must(t, err)
		b, err := os.ReadFile(filepath.Join(s.data, p))
		must(t, err)
		if !bytes.Equal(a, b) {
			t.Errorf("a start sentinel is there, and %s is not whole", p)
		}
	}
}

// A start is one of the situations in which a restore begins.
type start struct {
	name   string
	set    Settings
	make   func(*testing.T, *scene)
	points []string
}

func each(names string, more ...string) []string { return append(strings.Fields(names), more...) }

func starts() []start {
	record := "restore:create restore:written restore:rename restore:renamed restore:done"
	second, third := "restore:rename#2 restore:renamed#2", "restore:rename#3 restore:renamed#3"
	fill := "restore:state pull:begun pull:sentinels pull:run pull:run#9 pull:file pull:file#5 pull:file#100 pull:filled pull:sealed fstree:written fstree:synced fstree:sentinel fstree:sentinel#2 fstree:sentinel#3 fstree:late fstree:done pull:finished pull:verified restore:commit pull:done"
	return []start{
		{"fresh", Settings{}, func(*testing.T, *scene) {}, each("pull:manifest pull:run#30 restore:recorded "+record+" "+second+" "+third, strings.Fields(fill)...)},
		{"replace", Settings{Diverged: DivergedReplace}, overtaken, each("pull:manifest "+record+" fstree:aside fstree:begun pull:swept "+second, strings.Fields(fill)...)},
		{"keep-copy", Settings{Diverged: DivergedKeepCopy}, overtaken,
			each("restore:aside-named restore:aside-made restore:aside-exchanged restore:aside-done restore:recorded "+record, strings.Fields(fill)...)},
	}
}

// overtaken: a tenure ran on the data, another published since.
func overtaken(t *testing.T, s *scene) {
	t.Helper()
	s.token = 2
	s.restores(t, Settings{}, restore.Run)
	rewrite(t, filepath.Join(s.data, "ibdata1"), 11, 5)
	must(t, os.WriteFile(filepath.Join(s.data, "only-here"), []byte("mine"), 0o600))
	s.token = 3
	rewrite(t, filepath.Join(s.from, "ibdata1"), 12, 5)
	must(t, os.WriteFile(filepath.Join(s.from, "global/pg_control"), noise(99, 8192), 0o640))
	s.takes(t)
}

func prepared(t *testing.T, c start) *scene {
	t.Helper()
	s := sceneIn(t, inMemory(t))
	s.database(t)
	s.takes(t)
	c.make(t, s)
	s.token++
	return s
}

// Killed at every point, the next holder goes on; nothing half-restored is called clean, no sentinel is
// there before all the rest.
func TestKilledAtEveryPoint(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range starts() {
		t.Run(c.name, func(t *testing.T) { // not side by side: a fork holds the lock of another's session until its exec
			for _, point := range c.points {
				if seen[point] && !strings.Contains(point, "sentinel") && !testkit.Long() {
					continue // every point once; with every start only in the long form
				}
				seen[point] = true
				t.Run(point, func(t *testing.T) {
					s := prepared(t, c)
					before := restore.Inspect(s.data, s.state, 0).State
					o := s.order(c.set)
					o.Verify = true
					killedAt(t, o, point)
					s.after(t, c, before)
				})
			}
		})
	}
}

// after looks at what a kill left, and goes on as the next holder.
func (s *scene) after(t *testing.T, c start, before restore.State) {
	t.Helper()
	s.safe(t, before)
	made, err := filepath.Glob(s.data + ".diverged-*")
	must(t, err)
	st := restore.Inspect(s.data, s.state, 0).State
	if len(made) == 1 && st.Phase == restore.PhaseClean && st.Origin == before.Origin && st.Last.Aside != filepath.Base(made[0]) {
		t.Errorf("%q was made under a name that nobody recorded", made)
	}
	s.token++
	ends(t, s.order(c.set))
	s.same(t)
	if l := restore.Inspect(s.data, s.state, 0); l.State.Phase != restore.PhaseClean || l.State.Last.Token != s.token {
		t.Errorf("%+v", l.State)
	}
	if names, err := os.ReadDir(s.state); err != nil || len(names) != 1 {
		t.Errorf("%v, %v: expected the state file alone", names, err)
	}
	if c.name == "keep-copy" {
		s.keptCopy(t)
	}
}

// keptCopy: what was put aside lies beside the data, once, whole.
func (s *scene) keptCopy(t *testing.T) {
	t.Helper()
	found, err := filepath.Glob(s.data + ".diverged-*")
	must(t, err)
	if len(found) != 1 {
		t.Fatalf("%q: expected one copy", found)
	}
	if text, err := os.ReadFile(filepath.Join(found[0], "only-here")); err != nil || string(text) != "mine" {
		t.Errorf("%q, %v", text, err)
	}
}

// TestKilledAnywhere kills at random times, several times in a row, and lets the next ones go on.
func TestKilledAnywhere(t *testing.T) {
	rounds := 8
	if testkit.Long() {
		rounds = 40
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for n := range rounds {
		c := starts()[n%3]
		t.Run(fmt.Sprint(n, c.name), func(t *testing.T) {
			s := prepared(t, c)
			before := restore.Inspect(s.data, s.state, 0).State
			for range 3 {
				p := startPuller(t, s.order(c.set))
				timer := time.NewTimer(time.Duration(r.Int64N(int64(250 * time.Millisecond))))
				select {
				case <-timer.C:
					p.Kill(t)
				case <-p.Exited():
				}
				p.Wait(t, limit)
				s.safe(t, before)
				s.token++
			}
			s.after(t, c, before)
		})
	}
}
