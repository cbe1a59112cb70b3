package presets

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/interlock-run/interlock/backup"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/internal/testkit"
)

// hook is the path of a script of examples/hooks, where every user may run it.
func (r *rig) hook(name string) string {
	r.Helper()
	root, err := testkit.ModuleRoot()
	must(r, err)
	text, err := os.ReadFile(filepath.Join(root, "examples", "hooks", name))
	must(r, err)
	path := filepath.Join(r.tools, name)
	testkit.WriteProgram(r, path, string(text))
	return path
}

// A writer inserts rows one after the other, each in a transaction of its own.
type writer struct {
	acked atomic.Int64
	stop  chan struct{}
	done  chan error
}

func (r *rig) writes(format string) *writer {
	r.Helper()
	w := &writer{stop: make(chan struct{}), done: make(chan error, 1)}
	s := r.db.Open(r)
	go func() {
		for n := int64(1); ; n++ {
			if _, err := s.Ask(fmt.Sprintf(format, n), limit); err != nil {
				w.done <- err
				return
			}
			w.acked.Store(n)
			select {
			case <-w.stop:
				w.done <- nil
				return
			default:
			}
		}
	}()
	testkit.Wait(r, limit, func() (bool, string) { return w.acked.Load() > 20, "no rows" })
	return w
}

func (w *writer) end(t testing.TB) {
	t.Helper()
	close(w.stop)
	must(t, testkit.Recv(t, limit, "the writer's end", w.done))
}

// A frozen is a service under load with the freeze command that is shipped for it.
type frozen struct {
	name   string
	kind   func() kind
	mode   backup.Mode
	mounts func(r *rig) string // the folder for its data; nil: any
	freeze func(r *rig) []string
	root   bool // the command runs as root
}

func frozens() []frozen {
	maria := func(r *rig) []string {
		return []string{r.hook("mariadb-freeze"), "--no-defaults", "--user=root", "--socket=" + r.db.Socket}
	}
	pg := func(r *rig) []string {
		return append([]string{r.hook("postgres-freeze"), "--dbname=postgres"}, postgresArgs(r)...)
	}
	return []frozen{
		{name: "postgres-freeze", kind: postgres, mode: backup.Hook, freeze: pg},
		{name: "postgres-freeze reflink", kind: postgres, mode: backup.Reflink, mounts: func(r *rig) string { return loop(r, "mkfs.xfs") }, freeze: pg},
		{name: "mariadb-freeze", kind: mariadb, mode: backup.Hook, freeze: maria},
		{name: "mariadb-freeze reflink", kind: mariadb, mode: backup.Reflink, mounts: func(r *rig) string { return loop(r, "mkfs.xfs") }, freeze: maria},
		{name: "filesystem-freeze", kind: mariadb, mode: backup.Hook, root: true, mounts: func(r *rig) string { return loop(r, "mkfs.ext4") },
			freeze: func(r *rig) []string { return []string{r.hook("filesystem-freeze"), filepath.Dir(r.db.Data)} }},
	}
}

// TestHooks copies a server's files under load, with the service frozen, and starts another on the copy: all
// rows that were acknowledged before are there, none is torn, and none is missing in between.
func TestHooks(t *testing.T) {
	t.Parallel()
	for _, f := range frozens() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, f.kind())
			at := ""
			if f.mounts != nil {
				at = f.mounts(r)
			} else {
				at = testPublic(t)
			}
			r.serve(filepath.Join(at, "data"))
			r.db.Query(t, r.kind.fill+r.kind.table)
			want := r.db.Query(t, r.kind.sum)
			w := r.writes(r.kind.insert)
			src := backup.Source{Mode: f.mode, Data: r.db.Data, Freeze: f.freeze(r), Run: r.process(), Limit: limit}
			if f.root {
				src.Run.Credential = nil
				t.Cleanup(func() { _ = exec.Command("fsfreeze", "--unfreeze", at).Run() }) // should the test have failed
			}
			s, before, after := r.takesUnder(w, src)
			testkit.Wait(t, limit, func() (bool, string) { return w.acked.Load() > after, "the service is still held" })
			w.end(t)
			restored := filepath.Join(testPublic(t), "restored")
			r.tree(s, restored)
			r.serve(restored)
			if got := r.db.Query(t, r.kind.sum); got != want {
				t.Errorf("restored: %q, want %q", got, want)
			}
			rows := strings.Fields(r.db.Query(t, r.kind.rows))
			if n, last := rows[0], rows[1]; n != last || !between(n, before, after+1) {
				t.Errorf("%s rows up to %s, %d were acknowledged before the freeze and %d after the thaw", n, last, before, after)
			}
			t.Logf("%s rows, %d before, %d after", rows[0], before, after)
		})
	}
}

func between(text string, low, high int64) bool {
	var n int64
	_, err := fmt.Sscan(text, &n)
	return err == nil && n >= low && n <= high
}

// takesUnder takes a backup under load, with how many rows were acknowledged before and after. InnoDB's own
// threads may write while nobody commits; that such a copy is refused is what keeps it safe.
func (r *rig) takesUnder(w *writer, src backup.Source) (s snapshot.Snapshot, before, after int64) {
	r.Helper()
	for n := 0; ; n++ {
		before = w.acked.Load()
		res, err := backup.Take(r.Context(), src, r.o)
		after = w.acked.Load()
		if err == nil {
			return res.Snapshot, before, after
		}
		if !errors.Is(err, snapshot.ErrChanged) || n == 5 {
			r.Fatal(err)
		}
		r.Logf("refused: %v", err)
	}
}

// loop is a filesystem in a file.
func loop(r *rig, mkfs ...string) string {
	r.Helper()
	if _, err := exec.LookPath(mkfs[0]); err != nil {
		testkit.Skip(r, mkfs[0], "not installed (Debian: xfsprogs, e2fsprogs)")
	}
	file, at := filepath.Join(r.TempDir(), "image"), testPublic(r)
	must(r, os.WriteFile(file, nil, 0o600))
	must(r, os.Truncate(file, 512<<20))
	for _, argv := range [][]string{append(mkfs, "-q", file), {"mount", "-o", "loop", file, at}} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			testkit.Skip(r, "loop mount", fmt.Sprintf("%v: %v: %s", argv, err, out))
		}
	}
	r.Cleanup(func() {
		// The server on it is killed by then, and gone in a moment.
		testkit.Wait(r, time.Minute, func() (bool, string) {
			out, err := exec.Command("umount", at).CombinedOutput()
			return err == nil, string(out)
		})
	})
	must(r, os.Chmod(at, 0o777))
	return at
}

// TestNotHeld: a freeze command that says ready and holds nothing publishes nothing of a busy server.
func TestNotHeld(t *testing.T) {
	t.Parallel()
	r := newRig(t, mariadb())
	r.serve(filepath.Join(testPublic(t), "data"))
	r.db.Query(t, r.kind.fill+r.kind.table)
	w := r.writes(r.kind.insert)
	src := backup.Source{Mode: backup.Hook, Data: r.db.Data, Freeze: []string{"sh", "-c", "echo ready; cat >/dev/null"}, Run: r.process()}
	r.refuses("not held", src, snapshot.ErrChanged, "at rest")
	w.end(t)
}
