package courier

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/internal/store"
	"github.com/interlock-run/interlock/internal/store/dir"
	"github.com/interlock-run/interlock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.MainWithMounts(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func openDir(c config.Store) (Store, error) { return dir.Open(strings.TrimPrefix(c.URL, "file://")) }

// A place is one directory store, one data directory, and what couriers say.
type place struct {
	*testing.T
	dir  string
	said bytes.Buffer
	open Opener
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{T: t, dir: t.TempDir(), open: openDir}
	for _, d := range []string{"store", "data", "state"} {
		must(t, os.Mkdir(filepath.Join(p.dir, d), 0o755))
	}
	return p
}

func (p *place) repository() *snapshot.Repository {
	p.Helper()
	st, err := dir.Open(filepath.Join(p.dir, "store"))
	must(p, err)
	p.Cleanup(func() { must(p, st.Close()) })
	r, err := snapshot.Open(context.Background(), st, time.Now)
	if errors.Is(err, snapshot.ErrMissing) {
		r, err = snapshot.Init(context.Background(), st, snapshot.Scope{}, time.Now)
	}
	must(p, err)
	return r
}

func (p *place) request(op string, token int) Request {
	return Request{
		V: Version, Op: op, Timeout: 10 * time.Second, Reach: 10 * time.Second,
		Who:     Who{Token: fence.Token(token), Scope: snapshot.Scope{Lock: "/l", Kind: "file"}, Holder: "h", Node: "n"},
		Store:   config.Store{URL: "file://" + filepath.Join(p.dir, "store")},
		Place:   Place{Data: filepath.Join(p.dir, "data"), StateDir: filepath.Join(p.dir, "state")},
		Restore: config.Restore{From: "store", When: "empty", OnEmpty: "stop", Diverged: "stop", At: "latest"},
		Backup:  config.Backup{Mode: "cold"},
	}
}

// do carries out a request in this process.
func (p *place) do(r Request) Answer {
	p.Helper()
	w := &courier{open: p.open, environ: os.Environ(), out: &lines{to: &p.said}}
	w.log = slog.New(&notes{out: w.out})
	return w.guarded(r)
}

func (p *place) well(r Request) Answer {
	p.Helper()
	a := p.do(r)
	if err := a.Err(); err != nil {
		p.Fatalf("%s: %d: %v", r.Op, a.Code, err)
	}
	return a
}

func (p *place) write(name, text string) {
	p.Helper()
	must(p, os.WriteFile(filepath.Join(p.dir, "data", name), []byte(text), 0o644))
}

// The way of a service: first start, backup, a node with nothing.
func TestClaimBackupRestore(t *testing.T) {
	p := newPlace(t)
	p.repository()
	if a := p.well(p.request(OpClaim, 1)); a.Catalog != 1 || a.Newest.ID != "" {
		t.Errorf("%+v", a)
	}
	if a := p.do(p.request(OpRestore, 1)); a.Code != 66 || !strings.Contains(p.said.String(), `"action":"refuse"`) {
		t.Errorf("%+v, said %s", a, p.said.String())
	}
	p.write("f", "hello")
	a := p.well(p.request(OpBackup, 1))
	if a.Snapshot.About.Mode != "cold" || a.Snapshot.About.Holder != "h" || a.Snapshot.ID.Token() != 1 {
		t.Errorf("%+v", a)
	}
	if c := p.well(p.request(OpClaim, 2)); c.Newest.ID != a.Snapshot.ID {
		t.Errorf("%+v", c)
	}
	other := filepath.Join(p.dir, "other")
	must(t, os.Mkdir(other, 0o755))
	r := p.request(OpRestore, 2)
	r.Place.Data, r.Place.StateDir = other, filepath.Join(p.dir, "otherstate")
	if got := p.well(r); got.Snapshot.ID != a.Snapshot.ID {
		t.Errorf("%+v", got)
	}
	if b, err := os.ReadFile(filepath.Join(other, "f")); err != nil || string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
	if got := p.well(r); got.Snapshot.ID != "" { // again: kept
		t.Errorf("%+v", got)
	}
}

// A deposed holder claims and publishes nothing.
func TestDeposed(t *testing.T) {
	p := newPlace(t)
	r := p.repository()
	p.well(p.request(OpClaim, 5))
	p.write("f", "x")
	for _, op := range []string{OpClaim, OpBackup} {
		if a := p.do(p.request(op, 4)); a.Code != 76 || !strings.Contains(a.Error, "fenced off") {
			t.Errorf("%s: %+v", op, a)
		}
	}
	if a := p.do(p.request(OpClaim, 4)); !strings.Contains(a.Error, "token_epoch") {
		t.Errorf("%q: expected what helps after a rebuild", a.Error)
	}
	c, err := r.Catalog(context.Background())
	if err != nil || len(c.Live) > 0 || c.Token != 5 {
		t.Errorf("%+v, %v", c, err)
	}
}

// At a stop it is a cold copy, whatever a running service would need.
func TestOnStopIsCold(t *testing.T) {
	p := newPlace(t)
	p.repository()
	p.write("f", "x")
	r := p.request(OpBackup, 1)
	r.Backup, r.OnStop = config.Backup{Preset: "mariadb-dump", Exec: []string{"--nonsense"}, Keep: config.Keep{Last: 1}}, true
	if a := p.well(r); a.Snapshot.About.Mode != "cold" || a.Snapshot.About.Preset != "" {
		t.Errorf("%+v", a)
	}
	p.write("f", "y")
	if a := p.well(r); a.Dropped != 1 {
		t.Errorf("%+v: expected retention to remove one", a)
	}
}

// A run without restore.from store went on with the data of an earlier tenure: its own snapshot is no later
// one of somebody else, for which the data would have to give way.
func TestOwnSnapshotOvertakesNobody(t *testing.T) {
	p := newPlace(t)
	p.repository()
	p.write("f", "x")
	p.well(p.request(OpRestore, 1)) // adopted
	p.write("f", "y")
	p.well(p.request(OpClaim, 2))
	p.well(p.request(OpBackup, 2)) // the run of token 2 asked for no restore
	p.write("f", "z")
	p.well(p.request(OpClaim, 3))
	r := p.request(OpRestore, 3)
	r.Restore.Diverged = "replace"
	if a := p.well(r); a.Snapshot.ID != "" {
		t.Errorf("restored %s over data that is newer than it", a.Snapshot.ID)
	}
	// Another's, later one still is one: here nobody ran under token 4.
	r = p.request(OpBackup, 4)
	r.Place.Data, r.Place.StateDir = filepath.Join(p.dir, "other"), filepath.Join(p.dir, "otherstate")
	must(t, errors.Join(os.Mkdir(r.Place.Data, 0o755), os.Mkdir(r.Place.StateDir, 0o755), os.WriteFile(filepath.Join(r.Place.Data, "f"), []byte("o"), 0o644)))
	p.well(r)
	if a := p.do(p.request(OpRestore, 5)); a.Code != 73 || !strings.Contains(a.Error, "overtaken") {
		t.Errorf("%+v: expected the data to be overtaken", a)
	}
}

// Uploads of killed couriers go once nobody can be at work on them.
func TestAbandoned(t *testing.T) {
	now := time.Now()
	ids := []snapshot.ID{snapshot.NewID(now.Add(-25*time.Hour), 1), snapshot.NewID(now.Add(-23*time.Hour), 1), "short"}
	if got := abandoned(ids, time.Hour, now); len(got) != 1 || got[0] != ids[0] {
		t.Errorf("%v of %v", got, ids)
	}
	if got := abandoned(ids, 13*time.Hour, now); len(got) > 0 {
		t.Errorf("%v of %v", got, ids)
	}
}

// The commands that a courier starts do not get what it is not told to hide.
func TestScrubbed(t *testing.T) {
	p := newPlace(t)
	p.repository()
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
	t.Setenv("INNOCENT", "yes")
	said := filepath.Join(p.dir, "env")
	r := p.request(OpBackup, 1)
	r.Secrets = []string{"AWS_SECRET_ACCESS_KEY"}
	r.Backup = config.Backup{Exec: []string{"sh", "-c", "env > " + said + "; echo x"}}
	p.well(r)
	raw, err := os.ReadFile(said)
	if err != nil || strings.Contains(string(raw), "s3cr3t") || !strings.Contains(string(raw), "INNOCENT=yes") {
		t.Errorf("%s, %v", raw, err)
	}
}

// A store that comes back within the time is as good as one that was there; one that does not is
// unreachable, and nothing is tried again that cannot get better.
func TestReach(t *testing.T) {
	p := newPlace(t)
	p.repository()
	tries, away := 0, filepath.Join(p.dir, "away")
	must(t, os.Rename(filepath.Join(p.dir, "store"), away))
	p.open = func(c config.Store) (Store, error) {
		if tries++; tries == 3 {
			must(t, os.Rename(away, filepath.Join(p.dir, "store")))
		}
		return openDir(c)
	}
	p.well(p.request(OpClaim, 1))
	if tries != 3 || !strings.Contains(p.said.String(), "tried again") {
		t.Errorf("%d tries, said %s", tries, p.said.String())
	}

	must(t, os.Rename(filepath.Join(p.dir, "store"), away))
	r := p.request(OpClaim, 1)
	r.Reach = 400 * time.Millisecond
	if a := p.do(r); a.Code != 69 || !strings.Contains(a.Error, "not reached within") {
		t.Errorf("%+v", a)
	}

	for _, c := range []struct {
		refuse      error
		code, tries int
	}{{store.ErrCredentials, 77, 1}, {snapshot.ErrForeign, 69, maxStrange}, {snapshot.ErrScope, 78, 1}, {snapshot.ErrDamaged, 65, 1}} {
		tries, refuse := 0, c.refuse
		p.open = func(config.Store) (Store, error) { tries++; return nil, fmt.Errorf("here: %w", refuse) }
		if a := p.do(p.request(OpClaim, 1)); a.Code != c.code || tries != c.tries {
			t.Errorf("%v: %+v after %d tries", refuse, a, tries)
		}
	}
}

// A place without a repository is asked a few times, and never made one.
func TestNoRepository(t *testing.T) {
	p := newPlace(t)
	if a := p.do(p.request(OpClaim, 1)); a.Code != 69 || !strings.Contains(a.Error, "store init") {
		t.Errorf("%+v", a)
	}
	if left, err := os.ReadDir(filepath.Join(p.dir, "store")); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

// The mount has gone between the agent's look and ours: nothing is made in the bare directory.
func TestBareMount(t *testing.T) {
	p := newPlace(t)
	p.repository()
	for _, op := range []string{OpClaim, OpRestore, OpBackup} {
		r := p.request(op, 1)
		r.Place.Mount = p.dir
		if a := p.do(r); a.Code != 72 || !strings.Contains(a.Error, "mount") {
			t.Errorf("%s: %+v", op, a)
		}
	}
}

// A panic is an answer.
func TestPanic(t *testing.T) {
	p := newPlace(t)
	p.open = func(config.Store) (Store, error) { panic("x") }
	if a := p.do(p.request(OpClaim, 1)); a.Code != 70 || !strings.Contains(a.Error, "report this") {
		t.Errorf("%+v", a)
	}
}

// A dry run decides the same, and commits nothing.
func TestLook(t *testing.T) {
	p := newPlace(t)
	r := p.repository()
	if g := Look(context.Background(), openDir, p.request("", 0)); g.Err != nil || g.Refused == nil {
		t.Errorf("%+v", g)
	}
	p.write("f", "x")
	a := p.well(p.request(OpBackup, 1))
	before, err := r.Catalog(context.Background())
	must(t, err)
	g := Look(context.Background(), openDir, p.request("", 0))
	if g.Err != nil || g.Refused != nil || g.Newest.ID != a.Snapshot.ID || g.Decision.Action != "none" {
		t.Errorf("%+v", g)
	}
	foreign := p.request("", 0)
	foreign.Who.Scope.Lock = "/another"
	if g := Look(context.Background(), openDir, foreign); !errors.Is(g.Err, snapshot.ErrScope) || Code(g.Err, 0) != 78 {
		t.Errorf("%+v", g)
	}
	c, err := r.Catalog(context.Background())
	if err != nil || c.Number != before.Number {
		t.Errorf("catalog %d, %v: a look has committed after %d", c.Number, err, before.Number)
	}
}
