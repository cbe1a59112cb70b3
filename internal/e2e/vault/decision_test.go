package vault

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// dryRun is what a run would do: its exit code, and all that it said.
func (n *node) dryRun(t testing.TB, more ...string) (int, string) {
	t.Helper()
	args := append([]string{"run", "--dry-run", "--lock", n.Lock, "--data", n.Data, "--restore-from", "store"}, n.v.flags...)
	args = append(append(append(args, n.Timing...), more...), "--", "true")
	p := n.v.command(t, args...)
	code := p.Wait(t, limit)
	return code, p.Stdout(t) + p.Stderr(t)
}

// Nothing anywhere: no start without the explicit word.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	v := inDirectory(t)
	a := v.node(t, "a")
	if code, out := a.dryRun(t); code != 66 || !strings.Contains(out, "on_empty") {
		t.Errorf("dry run: %d: %s", code, out)
	}
	a.start(t).Expect(t, limit, 66)
	if a.tokens(t) != nil {
		t.Error("the payload was started")
	}
	if code, out := a.dryRun(t, "--restore-on-empty", "start"); code != 0 || !strings.Contains(out, "first start") {
		t.Errorf("dry run: %d: %s", code, out)
	}
	a.firstStart(t)
}

// Another node with an empty directory gets what the store has; then the data of the first is overtaken.
func TestRestoreKeepAndDiverged(t *testing.T) {
	t.Parallel()
	v := inDirectory(t)
	a, b := v.node(t, "a"), v.node(t, "b")
	a.firstStart(t)

	again := a.serves(t) // ours and the newest
	st, err := again.Status()
	if err != nil || st.Restore == nil || st.Restore.Action != "none" || len(a.tokens(t)) != 2 {
		t.Errorf("%+v, %v, tokens %v: expected the data kept", st.Restore, err, a.tokens(t))
	}
	again.Stop(t) // and takes no snapshot: what it wrote is on no other node

	if code, out := b.dryRun(t); code != 0 || !strings.Contains(out, v.snapshots(t)[0]) {
		t.Errorf("dry run: %d: %s", code, out)
	}
	if left, err := os.ReadDir(b.Data); err != nil || len(left) > 0 {
		t.Errorf("a dry run left %v (%v)", left, err)
	}
	j := b.serves(t, saving())
	if got := b.tokens(t); len(got) != 2 || got[0] != a.tokens(t)[0] {
		t.Errorf("%v on the second node, %v on the first", got, a.tokens(t))
	}
	if _, metrics, err := j.Get("/metrics"); err != nil || !strings.Contains(metrics, `interlock_backups_total{result="failed"} 0`) ||
		strings.Contains(metrics, "interlock_restore_seconds 0\n") {
		t.Errorf("metrics %v: %s", err, metrics)
	}
	if code := j.Stop(t); code != 143 || len(v.snapshots(t)) != 2 {
		t.Fatalf("%d, %v", code, v.snapshots(t))
	}

	t.Run("stop", func(t *testing.T) {
		if reason := a.start(t).Expect(t, limit, 73); !strings.Contains(reason, "overtaken") {
			t.Errorf("reason %q", reason)
		}
		if code, out := a.dryRun(t); code != 73 || !strings.Contains(out, "overtaken") {
			t.Errorf("dry run: %d: %s", code, out)
		}
	})
	want := b.tokens(t)
	t.Run("keep-copy", func(t *testing.T) {
		mine := a.tokens(t)
		a.serves(t, scene.Flags("--restore-diverged", "keep-copy")).Stop(t)
		if got := a.tokens(t); len(got) != len(want)+1 || !slices.Equal(got[:len(want)], want) {
			t.Errorf("%v, expected %v and our own", got, want)
		}
		a.asideHas(t, mine)
	})
	// b's data is overtaken as soon as a publishes again.
	a.serves(t, saving()).Stop(t)
	t.Run("replace", func(t *testing.T) {
		want := a.tokens(t)
		b.serves(t, scene.Flags("--restore-diverged", "replace")).Stop(t)
		if got := b.tokens(t); len(got) != len(want)+1 || !slices.Equal(got[:len(want)], want) {
			t.Errorf("%v, expected %v and our own", got, want)
		}
	})
}

// asideHas finds the data that was put aside beside the data directory.
func (n *node) asideHas(t testing.TB, want []string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(filepath.Dir(n.Data), "*", "tokens"))
	must(t, err)
	for _, path := range found {
		if filepath.Dir(path) == n.Data {
			continue
		}
		raw, err := os.ReadFile(path)
		must(t, err)
		if slices.Equal(strings.Fields(string(raw)), want) {
			return
		}
	}
	t.Errorf("%v: none holds %v", found, want)
}

// What nobody knows is adopted, never overwritten.
func TestAdopt(t *testing.T) {
	t.Parallel()
	v := inDirectory(t)
	v.node(t, "a").firstStart(t)
	b := v.node(t, "b")
	must(t, os.WriteFile(filepath.Join(b.Data, "precious"), []byte("x"), 0o644))
	j := b.serves(t)
	if st, err := j.Status(); err != nil || !strings.Contains(st.Restore.Reason, "adopted") || len(b.tokens(t)) != 1 {
		t.Errorf("%+v, %v, tokens %v", st.Restore, err, b.tokens(t))
	}
	j.Stop(t)
}

// Whatever is wrong with the store: nothing starts, and the code says which.
func TestStoreThatIsNotThere(t *testing.T) {
	t.Parallel()
	v := inDirectory(t)
	a := v.node(t, "a")
	a.firstStart(t)
	empty := filepath.Join(v.Dir, "empty")
	must(t, os.Mkdir(empty, 0o755))
	for name, c := range map[string]struct {
		store string
		code  int
		says  string
	}{
		"no directory":  {"file://" + filepath.Join(v.Dir, "absent"), 69, "no such bucket or directory"},
		"no repository": {"file://" + empty, 69, "store init"},
	} {
		t.Run(name, func(t *testing.T) {
			n := v.node(t, strings.ReplaceAll(name, " ", "-"))
			other := &vault{Scene: v.Scene, url: c.store, flags: []string{"--store", c.store}}
			n.v = other
			reason := n.start(t, scene.Flags("--budgets-claim", "4s", "--restore-on-empty", "start")).Expect(t, limit, c.code)
			if !strings.Contains(reason, c.says) || n.tokens(t) != nil {
				t.Errorf("%q, tokens %v", reason, n.tokens(t))
			}
			if code, out := n.dryRun(t, "--budgets-claim", "4s"); code != c.code {
				t.Errorf("dry run: %d: %s", code, out)
			}
		})
	}
	if left, err := os.ReadDir(empty); err != nil || len(left) > 0 {
		t.Errorf("%v (%v) was made in a place that holds no repository", left, err)
	}
}

// A repository belongs to one lock.
func TestForeignRepository(t *testing.T) {
	t.Parallel()
	v := inDirectory(t)
	v.node(t, "a").firstStart(t)
	b := v.node(t, "b")
	b.Lock = "file://" + filepath.Join(v.Dir, "another-lock")
	if reason := b.start(t).Expect(t, limit, 78); !strings.Contains(reason, "belongs to another lock") {
		t.Errorf("reason %q", reason)
	}
	if code, out := b.dryRun(t); code != 78 || !strings.Contains(out, "another lock") {
		t.Errorf("dry run: %d: %s", code, out)
	}
	if b.tokens(t) != nil {
		t.Error("the payload was started")
	}
}

// A missing bucket, a server that is down, and keys that are refused are no empty store.
func TestBucketThatIsNotThere(t *testing.T) {
	t.Parallel()
	v := inS3(t)
	v.node(t, "a").firstStart(t)
	b := v.node(t, "b")
	quick := scene.Flags("--budgets-claim", "4s", "--restore-on-empty", "start")
	b.start(t, quick, scene.Env("AWS_SECRET_ACCESS_KEY=wrong")).Expect(t, limit, 77)

	other := *v
	other.url = "s3://nobodys/db"
	other.flags = other.at(v.s3.Endpoint())
	b.v = &other
	b.start(t, quick).Expect(t, limit, 69)

	b.v = v
	v.s3.Kill(t)
	b.start(t, quick).Expect(t, limit, 69)
	if b.tokens(t) != nil {
		t.Error("the payload was started")
	}
	testkit.Wait(t, limit, func() (bool, string) { return true, "" })
}

// TestDoctorOfARestore: what a start on an empty node would meet is said before there is one.
func TestDoctorOfARestore(t *testing.T) {
	t.Parallel()
	v := inDirectory(t)
	a := v.node(t, "a")
	doctor := func(code int, says string, more ...string) {
		t.Helper()
		got, out := v.verb(t, append([]string{"doctor", "--lock", a.Lock, "--data", a.Data, "--restore-from", "store"}, more...)...)
		if got != code || !strings.Contains(out, says) {
			t.Errorf("%q: %d: %s: expected %d and %q", more, got, out, code, says)
		}
	}
	doctor(0, "none yet")
	must(t, os.WriteFile(filepath.Join(a.Data, "f"), []byte("x"), 0o600))
	if code, out := v.verb(t, "backup", "--data", a.Data); code != 0 {
		t.Fatal(code, out)
	}
	tree := v.snapshots(t)[0]
	doctor(0, "would restore "+tree)
	if code := v.command(t, append(append([]string{"backup"}, v.flags...), "--", "echo", "x")...).Wait(t, limit); code != 0 {
		t.Fatal(code)
	}
	doctor(73, "has none that loads it")
	doctor(0, "would restore", "--restore-exec", `["cat"]`)
	doctor(0, "would restore "+tree, "--restore-at", tree)
	doctor(66, "would end", "--restore-at", "2020-01-01T00:00:00Z")
	must(t, os.Remove(filepath.Join(a.Data, "f")))
	a.start(t).Expect(t, limit, 73) // and so it does
}
