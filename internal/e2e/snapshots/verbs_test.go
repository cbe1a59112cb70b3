package snapshots

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
)

// TestStory is what a user does, in order: init, backup, look, verify, restore, pin, prune.
func TestStory(t *testing.T) {
	everywhere(t, story)
}

func story(t *testing.T, p *place) {
	data := tree(t, filepath.Join(p.home, "data"))
	p.ends(t, 78, "interlock store init", "snapshots")
	initialised(t, p)
	p.ends(t, 78, "there is a repository already", "store", "init")
	p.ends(t, 66, "no snapshot", "restore", "--to", filepath.Join(p.home, "early"))

	first := backedUp(t, p, "--data", data, "--label", "why=test")
	if first.About.Mode != "cold" || first.About.Labels["why"] != "test" || first.Bytes < 3<<20 {
		t.Errorf("%+v", first)
	}
	write(t, filepath.Join(data, "sub", "small"), []byte("other text\n"))
	second := backedUp(t, p, "--data", data)
	if second.Parent != first.ID || second.Stored > 64<<10 {
		t.Errorf("%+v: expected an increment on %s", second, first.ID)
	}
	if all := p.list(t); len(all) != 2 || all[0].ID != first.ID || all[1].ID != second.ID {
		t.Fatalf("%+v", all)
	}
	looked(t, p, first, second)
	verified(t, p)
	restored(t, p, data, first)
	pruned(t, p, first, second)
}

func initialised(t *testing.T, p *place) {
	t.Helper()
	var doc struct {
		Store      string   `json:"store"`
		Repository string   `json:"repository"`
		Scope      scopeDoc `json:"scope"`
		Recipients []string `json:"recipients"`
		Fenced     bool     `json:"fenced"`
	}
	strictly(t, p.ok(t, "store", "init", "--json"), &doc)
	if len(doc.Repository) != 32 || !doc.Fenced || doc.Scope != (scopeDoc{}) {
		t.Errorf("%+v", doc)
	}
	var lines []struct{ Level, Topic, What, Do string }
	strictly(t, p.ok(t, "store", "doctor", "--json"), &lines)
	for _, l := range lines {
		if l.Level == "fail" || l.Level == "warn" && l.Topic != "snapshots" {
			t.Errorf("%+v", l)
		}
	}
}

// A backupDoc is the last line of `backup --json`.
type backupDoc struct {
	Result struct {
		Snapshot snapshotDoc `json:"snapshot"`
		Lacks    string      `json:"lacks"`
		Torn     int64       `json:"torn"`
		LeftOut  int64       `json:"left_out"`
		Took     float64     `json:"took_seconds"`
		Dropped  []string    `json:"dropped"`
	} `json:"result"`
}

func backedUp(t *testing.T, p *place, flags ...string) snapshotDoc {
	t.Helper()
	var doc backupDoc
	strictly(t, last(p.ok(t, append([]string{"backup", "--json"}, flags...)...)), &doc)
	return doc.Result.Snapshot
}

func looked(t *testing.T, p *place, first, second snapshotDoc) {
	t.Helper()
	var one snapshotDoc
	strictly(t, p.ok(t, "show", "latest", "--json"), &one)
	if one.ID != second.ID {
		t.Errorf("the latest is %s, want %s", one.ID, second.ID)
	}
	p.ends(t, 66, "no snapshot", "show", "2019")
	if out := p.ok(t, "show", "--files", first.ID); !strings.Contains(out, " sub/link -> small\n") || strings.Count(out, "\n") != 8 {
		t.Errorf("files: %s", out)
	}
	for line := range strings.Lines(p.ok(t, "show", "--files", "--json", first.ID)) {
		var f struct {
			Path, Kind, Mode, Target, Time string
			UID, GID                       uint32
			Size                           int64
		}
		strictly(t, line, &f)
	}
	differ(t, p, first, second)
	if out := p.ok(t, "snapshots"); strings.Count(out, "\n") != 3 || !strings.Contains(out, "why=test") {
		t.Errorf("table: %s", out)
	}
}

func differ(t *testing.T, p *place, first, second snapshotDoc) {
	t.Helper()
	out := p.ok(t, "diff", "--json", first.ID, second.ID)
	changes := map[string]string{}
	dec := json.NewDecoder(strings.NewReader(out))
	dec.DisallowUnknownFields()
	for dec.More() {
		var line struct {
			Path    string `json:"path"`
			Change  string `json:"change"`
			Size    int64  `json:"size"`
			Was     int64  `json:"was"`
			From    string `json:"from"`
			To      string `json:"to"`
			Added   int    `json:"added"`
			Removed int    `json:"removed"`
			Content int    `json:"content"`
			Meta    int    `json:"meta"`
			Growth  int64  `json:"growth"`
		}
		must(t, dec.Decode(&line))
		changes[line.Path] = line.Change
		if line.From != "" && (line.Content != 1 || line.Added+line.Removed != 0 || line.Growth != 1) {
			t.Errorf("%+v", line)
		}
	}
	if changes["sub/small"] != "content" {
		t.Errorf("changes %v", changes)
	}
}

// A verifyDoc is the last line of `verify --json`.
type verifyDoc struct {
	Result struct {
		Snapshots []struct {
			ID       string  `json:"id"`
			OK       bool    `json:"ok"`
			Damage   string  `json:"damage"`
			Check    string  `json:"check"`
			Noted    string  `json:"noted"`
			Restored bool    `json:"restored"`
			Removed  bool    `json:"removed"`
			Unread   bool    `json:"content_unread"`
			Took     float64 `json:"took_seconds"`
		} `json:"snapshots"`
		Damaged   int `json:"damaged"`
		Unchecked int `json:"check_failed"`
		Removed   int `json:"removed"`
	} `json:"result"`
}

func verified(t *testing.T, p *place) {
	t.Helper()
	var doc verifyDoc
	strictly(t, last(p.ok(t, "verify", "--all", "--json")), &doc)
	if r := doc.Result; len(r.Snapshots) != 2 || !r.Snapshots[0].OK || r.Snapshots[0].Restored {
		t.Errorf("%+v", doc)
	}
	check := []string{"--restore", "--scratch", p.home, "--", "sh", "-c", `test "$INTERLOCK_RESTORED" = "$PWD" && grep -q other sub/small`}
	p.ok(t, append([]string{"verify"}, check...)...)
	code, stdout, stderr := p.run(t, append([]string{"verify", "--all", "--json"}, check...)...)
	doc = verifyDoc{}
	strictly(t, last(stdout), &doc)
	if r := doc.Result; code != 65 || r.Unchecked != 1 || r.Damaged != 0 || r.Snapshots[0].OK || !r.Snapshots[1].OK || r.Snapshots[0].Noted != "no" {
		t.Errorf("%d %+v: %s: expected the older one not to pass, and nothing noted", code, doc, stderr)
	}
	if left, err := filepath.Glob(filepath.Join(p.home, "interlock-verify-*")); err != nil || len(left) > 0 {
		t.Errorf("scratch left: %v %v", left, err)
	}
}

func restored(t *testing.T, p *place, data string, first snapshotDoc) {
	t.Helper()
	to := filepath.Join(p.home, "to")
	var doc struct {
		Directory, Action, Reason string
		Snapshot                  snapshotDoc
		Preview                   struct {
			Create, Change, Same, Remove, Fetch int64
			Stream                              bool
		}
	}
	strictly(t, p.ok(t, "restore", "--to", to, "--dry-run", "--json"), &doc)
	if doc.Preview.Create != 8 || doc.Action != "run" {
		t.Errorf("%+v", doc)
	}
	if _, err := os.Lstat(to); !os.IsNotExist(err) {
		t.Errorf("a dry run made %s (%v)", to, err)
	}
	var done struct {
		Result struct {
			Directory, Action, Reason string
			Snapshot                  snapshotDoc
			Result                    struct {
				Entries, Files, Bytes, Kept, Fetched int64
				Stream                               bool
				Aside, Notes                         string
			}
			Took float64 `json:"took_seconds"`
		}
	}
	strictly(t, last(p.ok(t, "restore", "--to", to, "--verify", "--json")), &done)
	same(t, data, to)
	p.ends(t, 73, "is not empty", "restore", "--to", to)
	p.ok(t, "restore", "--to", to, "--at", first.ID[:16]+"-0-"+first.ID[19:24], "--replace")
	if got, err := os.ReadFile(filepath.Join(to, "sub", "small")); err != nil || string(got) != "some text\n" {
		t.Errorf("%q %v: expected the older one", got, err)
	}
	if left, err := filepath.Glob(filepath.Join(p.home, ".*.interlock")); err != nil || len(left) > 0 {
		t.Errorf("the account of the restore is left: %v %v", left, err)
	}
	p.ends(t, 66, "none of the store's 2 snapshots", "restore", "--to", to+"2", "--at", "2001-01-01T00:00:00Z")
}

func pruned(t *testing.T, p *place, first, second snapshotDoc) {
	t.Helper()
	type pruneDoc struct {
		DryRun bool `json:"dry_run"`
		Stay   []struct {
			ID  string
			Why []string
		}
		Go        []string
		Abandoned []string
		UnderWay  []string `json:"under_way"`
		Objects   int
		Bytes     int64
		Named     int64 `json:"still_named"`
		Leftovers int   `json:"leftover_files"`
	}
	var dry, done pruneDoc
	p.ends(t, 64, "--reason", "pin", first.ID)
	p.ok(t, "pin", first.ID, "--reason", "audit")
	strictly(t, p.ok(t, "prune", "--keep-last", "1", "--json"), &done)
	if len(done.Go) != 0 || len(done.Stay) != 2 || done.Stay[0].Why[0] != "pinned: audit" {
		t.Errorf("pinned, and yet %+v", done)
	}
	p.ok(t, "unpin", first.ID)
	strictly(t, p.ok(t, "prune", "--keep-last", "1", "--dry-run", "--json"), &dry)
	if len(dry.Go) != 1 || dry.Go[0] != first.ID || len(p.list(t)) != 2 {
		t.Errorf("dry run: %+v", dry)
	}
	done = pruneDoc{}
	strictly(t, p.ok(t, "prune", "--keep-last", "1", "--json"), &done)
	if all := p.list(t); len(done.Go) != 1 || len(all) != 1 || all[0].ID != second.ID || done.Objects == 0 {
		t.Errorf("%+v, left %+v", done, all)
	}
	p.ok(t, "verify", "--all")
}

// TestStream: what a command writes is a snapshot, and goes through a command to where it is wanted.
func TestStream(t *testing.T) {
	t.Parallel()
	p := inDirectory(t)
	p.ok(t, "store", "init")
	s := backedUp(t, p, "--", "sh", "-c", "seq 100000")
	if s.About.Mode != "command" || s.Bytes != 588895 {
		t.Errorf("%+v", s)
	}
	p.ends(t, 73, "nothing was published", "backup", "--", "sh", "-c", "seq 100000; exit 3")
	p.ends(t, 73, "nothing was published", "backup", "--", "true")
	p.ends(t, 78, "not", "backup", "--", "no-such-program-anywhere")
	p.ends(t, 64, "live", "backup", "--mode", "live", "--data", p.scratch(t), "--", "true")
	to := filepath.Join(p.home, "to")
	p.ok(t, "restore", "--to", to, "--", "sh", "-c", `cat > "$0/seq"`, to)
	if got, err := os.ReadFile(filepath.Join(to, "seq")); err != nil || len(got) != 588895 || len(p.list(t)) != 1 {
		t.Errorf("%d bytes, %v, %d snapshots", len(got), err, len(p.list(t)))
	}
}

// TestSecrets: what opens the store is no business of the commands.
func TestSecrets(t *testing.T) {
	t.Parallel()
	p := inS3(t)
	p.ok(t, "store", "init")
	p.ok(t, "backup", "--", "sh", "-c", `echo "key:$AWS_SECRET_ACCESS_KEY:"`)
	to := filepath.Join(p.home, "to")
	p.ok(t, "restore", "--to", to, "--", "sh", "-c", `(cat; echo "key:$AWS_SECRET_ACCESS_KEY:") > "$0/said"`, to)
	if got, err := os.ReadFile(filepath.Join(to, "said")); err != nil || string(got) != "key::\nkey::\n" {
		t.Errorf("%q %v", got, err)
	}
}

// TestVerifyByCommand: the check command runs as --user, and gets what only a command can load on its input.
func TestVerifyByCommand(t *testing.T) {
	testkit.RequireRoot(t)
	t.Parallel()
	p := inDirectory(t)
	data, _ := filled(t, p)
	must(t, os.Chmod(data, 0o755))
	tree := backedUp(t, p, "--data", data)
	scratch := testkit.PublicDir(t) // --user passes through it
	p.ok(t, "backup", "--", "echo", "dumped")
	verify := func(code int, says, id, script string) {
		t.Helper()
		got, stdout, stderr := p.run(t, "verify", "--restore", "--scratch", scratch, "--user", "65534:65534", id, "--", "sh", "-ec", script)
		if got != code || !strings.Contains(stdout, says) {
			t.Errorf("%s: %d %s%s: expected %d and %q", script, got, stdout, stderr, code, says)
		}
	}
	verify(0, "ok", tree.ID, `test "$(id -u)" = 65534; test "$PWD" = "$INTERLOCK_RESTORED"; test -f big; test "$(stat -c %a:%u:%g ..)" = 710:0:65534`)
	verify(0, "ok", "latest", `test "$(id -u)" = 65534; test "$PWD" = "$INTERLOCK_RESTORED"; test "$(cat)" = dumped; touch mine`)
	verify(65, "not content", "latest", `cat; exit 3`)
	verify(65, "not content", "latest", `true`) // it has read nothing
	p.ends(t, 73, "after -- one that reads it", "verify", "--restore", "--scratch", scratch)
	if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
		t.Errorf("left in the scratch directory: %v (%v)", left, err)
	}
	if all := p.list(t); all[0].Damaged != "" || all[1].Damaged != "" {
		t.Errorf("%+v: expected no mark for what a command says", all)
	}
}
