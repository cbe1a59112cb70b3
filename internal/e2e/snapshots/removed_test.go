package snapshots

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
)

// TestVerifyBesidePrune: what retention removes while it is being verified is no damage.
func TestVerifyBesidePrune(t *testing.T) {
	t.Parallel()
	p := inDirectory(t)
	p.ok(t, "store", "init")
	data := tree(t, filepath.Join(p.home, "data"))
	for range 3 {
		backedUp(t, p, "--data", data, "--full")
	}
	all := p.list(t)
	prune := strings.Join(append([]string{testkit.Binary(t), "prune", "--keep-last", "1"}, p.flags...), " ")
	code, stdout, stderr := p.run(t, "verify", "--all", "--restore", "--json", "--", "sh", "-c", prune)
	var doc verifyDoc
	strictly(t, last(stdout), &doc)
	if r := doc.Result; code != 0 || r.Removed != 1 || r.Damaged != 0 || len(r.Snapshots) != 3 || !r.Snapshots[1].Removed {
		t.Errorf("ended with %d: %s%s", code, stdout, stderr)
	}
	if left := p.list(t); len(left) != 1 || left[0].ID != all[2].ID || left[0].Damaged != "" {
		t.Errorf("left are %+v", left)
	}
}

// TestRestoreBesidePrune: a snapshot that retention takes from under its restore is not called damaged, and the
// same command goes on with the newest one.
func TestRestoreBesidePrune(t *testing.T) {
	t.Parallel()
	p := inDirectory(t)
	p.ok(t, "store", "init")
	stream := filepath.Join(p.home, "stream")
	for seed := range uint64(2) {
		write(t, stream, noise(seed+1, 48<<20))
		p.ok(t, "backup", "--", "cat", stream)
	}
	to, got := filepath.Join(p.home, "to"), filepath.Join(p.home, "got")
	prune := strings.Join(append([]string{testkit.Binary(t), "prune", "--keep-last", "1"}, p.flags...), " ")
	p.ends(t, 66, "was removed while it was restored", "restore", "--to", to, "--at", p.list(t)[0].ID, "--", "sh", "-c", prune+" >&2; cat > "+got)
	p.ok(t, "restore", "--to", to, "--", "sh", "-c", "cat > "+got)
	if whole, err := os.ReadFile(got); err != nil || string(whole) != string(noise(2, 48<<20)) {
		t.Errorf("%d bytes, %v", len(whole), err)
	}
}

// TestFromHere: people name places by where they are; the mode and its command may both be said.
func TestFromHere(t *testing.T) {
	t.Parallel()
	p := inDirectory(t)
	tree(t, filepath.Join(p.home, "data"))
	p.dirAsCwd = true
	p.flags = []string{"--store", "store"}
	p.ok(t, "store", "init")
	p.ok(t, "backup", "--data", "data")
	p.ok(t, "restore", "--to", "back")
	odd := *p
	odd.flags = []string{"--store", "größe 100%?#"}
	must(t, os.Mkdir(filepath.Join(p.home, odd.flags[1]), 0o755))
	odd.ok(t, "store", "init")
	odd.ok(t, "backup", "--data", "data")
	odd.ok(t, "snapshots")
	same(t, filepath.Join(p.home, "data"), filepath.Join(p.home, "back"))
	p.ok(t, "backup", "--mode", "command", "--", "echo", "hello")
	p.ends(t, 64, "nothing to back up: expected --data DIR", "backup")
	p.ends(t, 78, "after --", "backup", "--mode", "command")
	p.ends(t, 78, "a time such as", "restore", "--to", "other", "--at", "2020-01-01")
	if out := p.ok(t, "restore", "--to", "data", "--replace", "--dry-run", "--", "cat"); !strings.Contains(out, "1 entries to create, 0 to change, 7 to remove") {
		t.Errorf("a dump is loaded into an emptied directory: %s", out)
	}
	p.ends(t, 73, "only a command can load", "restore", "--to", "data", "--replace", "--dry-run")
	p.ends(t, 0, "hello\n", "restore", "--to", "dump", "--", "cat") // what it says is no result of ours
}

// TestSaysWhatBecame: a restore that fails says whether the directory is as it was, and leaves nothing where it
// had not begun.
func TestSaysWhatBecame(t *testing.T) {
	t.Parallel()
	p := inDirectory(t)
	p.ok(t, "store", "init")
	p.ok(t, "backup", "--", "echo", "hello")
	to := filepath.Join(p.home, "to")
	p.ends(t, 73, "only a command can load", "restore", "--to", to)
	if found, err := filepath.Glob(filepath.Join(p.home, "*to")); err != nil || len(found) > 0 {
		t.Errorf("left: %q %v", found, err)
	}
	if found, err := filepath.Glob(filepath.Join(p.home, ".to*")); err != nil || len(found) > 0 {
		t.Errorf("left: %q %v", found, err)
	}
	p.ends(t, 73, "the restore into "+to+" did not end", "restore", "--to", to, "--", "sh", "-c", "cat; exit 1")
	p.ok(t, "restore", "--to", to, "--", "cat")
}
