package fstree

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
)

// Random trees of all kinds: read, made in an empty directory, made over that after changes to it, and over another
// tree.
func TestRoundTrip(t *testing.T) {
	rounds := uint64(4)
	if testkit.Long() {
		rounds = 25
	}
	everywhere(t, func(t *testing.T, dir string) {
		for seed := range rounds {
			roundTrip(t, seed, mkdir(t, dir, fmt.Sprint(seed)))
			must(t, removeAll(filepath.Join(dir, fmt.Sprint(seed))))
		}
	})
}

// removeAll also removes what its owner may not enter.
func removeAll(dir string) error {
	g, err := OpenTarget(filepath.Dir(dir), TargetOptions{Ours: true})
	if err != nil {
		return err
	}
	defer g.Close() //nolint:errcheck // a test's
	return g.remove(filepath.Base(dir))
}

func roundTrip(t *testing.T, seed uint64, dir string) {
	t.Helper()
	from, fresh, old := mkdir(t, dir, "from"), mkdir(t, dir, "fresh"), mkdir(t, dir, "old")
	grow(t, seed, from)
	grow(t, seed+1000, old)
	for _, to := range []string{fresh, fresh, fresh, old} {
		o := TargetOptions{Ours: to != fresh || seed%2 == 0, Sentinels: sentinelsFor(t, seed, from)}
		if to == fresh && !o.Ours {
			o.Ours = !emptyDir(t, to)
		}
		var notes Tally
		o.Note = notes.Add
		if err := copyTree(from, to, o); err != nil {
			t.Fatalf("seed %d: to %s: %v", seed, filepath.Base(to), err)
		}
		if s := notes.String(); s != "" {
			t.Errorf("seed %d: %s", seed, s)
		}
		mustEqual(t, from, to, EqualOptions{})
		if to == fresh {
			change(t, seed, to)
		}
	}
}

func emptyDir(t *testing.T, dir string) bool {
	t.Helper()
	found, err := os.ReadDir(dir)
	must(t, err)
	return len(found) == 0
}

// sentinelsFor picks some entries that are no directories, and one that is not there.
func sentinelsFor(t *testing.T, seed uint64, dir string) []string {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 9))
	out := []string{"no/such"}
	for _, e := range walked(t, opened(t, dir, Options{})) {
		_, name := split(e.Path)
		if e.Kind != Dir && len(name) < 200 && r.IntN(10) == 0 {
			out = append(out, e.Path)
		}
	}
	return out
}
