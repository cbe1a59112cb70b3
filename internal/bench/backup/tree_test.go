package backup

import (
	"os"
	"path/filepath"
	"testing"
)

func made(t *testing.T, seed uint64) Tree {
	t.Helper()
	tree := Tree{Dir: t.TempDir(), MiB: 4, Files: 50, Seed: seed}
	if err := tree.Make(); err != nil {
		t.Fatal(err)
	}
	return tree
}

func differs(t *testing.T, a, b Tree) bool {
	t.Helper()
	err := Same(a.Dir, b.Dir, Loses{})
	if err != nil {
		t.Log(err)
	}
	return err != nil
}

// TestTreeIsBySeed: the seed alone makes the bytes, and a change can be taken back.
func TestTreeIsBySeed(t *testing.T) {
	a, b, c := made(t, 1), made(t, 1), made(t, 2)
	if differs(t, a, b) || !differs(t, a, c) {
		t.Fatal("expected the same tree of the same seed, and another one of another")
	}
	n, err := a.Change(1)
	if err != nil || n != 4<<20/2/innodbPage/100 {
		t.Fatalf("changed %d pages, %v", n, err)
	}
	if !differs(t, a, b) {
		t.Fatal("the change changed nothing")
	}
	if _, err := a.Change(0); err != nil || differs(t, a, b) {
		t.Fatalf("the change was not taken back: %v", err)
	}
}

// TestSameSeesAll: each kind of loss that a restore could have.
func TestSameSeesAll(t *testing.T) {
	for name, damage := range map[string]func(dir string) error{
		"a byte":    func(dir string) error { return os.WriteFile(filepath.Join(dir, "empty"), []byte("x"), 0o600) },
		"a file":    func(dir string) error { return os.Remove(filepath.Join(dir, "empty")) },
		"one more":  func(dir string) error { return os.WriteFile(filepath.Join(dir, "more"), nil, 0o600) },
		"a mode":    func(dir string) error { return os.Chmod(filepath.Join(dir, "empty"), 0o644) },
		"a symlink": func(dir string) error { return os.Remove(filepath.Join(dir, "mysql/orders.isl")) },
		"a folder":  func(dir string) error { return os.Remove(filepath.Join(dir, "pg/pg_wal")) },
		"a hard link": func(dir string) error {
			name := filepath.Join(dir, "mysql/hardlink.frm")
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			if err := os.Remove(name); err != nil {
				return err
			}
			return os.WriteFile(name, data, 0o640)
		},
	} {
		a, b := made(t, 1), made(t, 1)
		if err := damage(b.Dir); err != nil {
			t.Fatal(err)
		}
		if !differs(t, a, b) {
			t.Errorf("%s less or other: not seen", name)
		}
	}
}
