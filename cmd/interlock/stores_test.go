package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/snapshot"
)

// TestInterspersed: flags may stand among the arguments of verbs that have some, and nowhere else.
func TestInterspersed(t *testing.T) {
	cases := []struct{ argv, want string }{
		{"interlock show ID --store URL --json", "interlock show --store URL --json ID"},
		{"interlock diff A --store=URL B", "interlock diff --store=URL A B"},
		{"interlock verify --all", "interlock verify --all"},
		{"interlock pin - --reason", "interlock pin --reason -"},
		{"interlock pin ID --reason x y --frob z", "interlock pin --reason x --frob ID y z"},
		{"interlock status x --json", "interlock status x --json"},
		{"interlock show", "interlock show"},
	}
	for _, c := range cases {
		app := newApp(nil, nil)
		if got := interspersed(app, strings.Fields(c.argv)); !slices.Equal(got, strings.Fields(c.want)) {
			t.Errorf("%s became %q", c.argv, got)
		}
	}
}

// TestVerbsOfStore: what each verb says of a place that is not what it must be.
func TestVerbsOfStore(t *testing.T) {
	empty, foreign := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "important"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	verbs := [][]string{{"snapshots"}, {"show", "latest"}, {"diff", "a", "b"}, {"verify"}, {"prune"}, {"pin", "a", "--reason", "x"}, {"unpin", "a"}}
	for _, place := range []struct {
		url, says string
		code      int
	}{
		{"file://" + empty, "interlock store init", exit.Config},
		{"file://" + foreign, `"important"`, exit.Config},
		{"file://" + empty + "/none", "no such bucket or directory", exit.Unreachable},
		{"s3://key:secret@bucket/x", "never from the URL", exit.Config},
	} {
		for _, verb := range verbs {
			code, stdout, stderr := try(nil, append(verb, "--store", place.url)...)
			if code != place.code || stdout != "" || !strings.Contains(stderr, place.says) || strings.Contains(stderr, "secret") {
				t.Errorf("%s of %s: %d %q %q, want %d and %q", verb, place.url, code, stdout, stderr, place.code, place.says)
			}
		}
	}
	for _, verb := range verbs {
		if code, _, stderr := try(nil, verb...); code != exit.Config || !strings.Contains(stderr, "--store") {
			t.Errorf("%s without a store: %d %q", verb, code, stderr)
		}
	}
}

// TestStoreInit: a repository is made once, and never where something is.
func TestStoreInit(t *testing.T) {
	dir := t.TempDir()
	var v initView
	code, stdout, stderr := try(nil, "store", "init", "--json", "--store", "file://"+dir, "--lock", "etcd://a,b/orders")
	if err := strictly(stdout, &v); err != nil || code != 0 || !v.Fenced || v.Scope != (snapshot.Scope{Lock: "/orders", Kind: "etcd"}) {
		t.Fatalf("%d %q %q %v", code, stdout, stderr, err)
	}
	for _, more := range [][]string{nil, {"--recipient", "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"}} {
		if code, _, stderr = try(nil, append([]string{"store", "init", "--store", "file://" + dir}, more...)...); code != exit.Config || !strings.Contains(stderr, v.Repository) {
			t.Errorf("a second one %q: %d %q", more, code, stderr)
		}
	}
	if code, _, stderr = try(nil, "store", "init", "--store", "file://"+t.TempDir(), "--recipient", "age1nonsense"); code != exit.Usage {
		t.Errorf("a bad recipient: %d %q", code, stderr)
	}
	// Its lock's token is wanted for every commit.
	if code, _, stderr = try(nil, "pin", "latest", "--reason", "x", "--store", "file://"+dir); code != exit.NoSnapshot {
		t.Errorf("pin without a snapshot: %d %q", code, stderr)
	}
}

// TestStoreDoctor: its lines are the published form, and an empty directory is a warning.
func TestStoreDoctor(t *testing.T) {
	var lines []checkup
	code, stdout, _ := try(nil, "store", "doctor", "--json", "--store", "file://"+t.TempDir())
	if err := strictly(stdout, &lines); err != nil || code != 0 || lines[len(lines)-1].Topic != "repository" || lines[len(lines)-1].Level != "warn" {
		t.Errorf("%d %s %v", code, stdout, err)
	}
	code, stdout, _ = try(nil, "store", "doctor", "--store", "file:///nowhere/at/all")
	if code != exit.Unreachable {
		t.Errorf("a missing directory: %d %q", code, stdout)
	}
}

// strictly decodes one document whose every key is known.
func strictly(text string, into any) error {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if dec.More() {
		return errors.New("more than one document")
	}
	return nil
}

func live(ids ...string) []snapshot.Snapshot {
	var all []snapshot.Snapshot
	for i, id := range ids {
		at, _ := time.Parse("20060102", id[:8])
		all = append(all, snapshot.Snapshot{ID: snapshot.ID(id), Number: uint64(i + 1), Time: at})
	}
	return all
}

func TestPick(t *testing.T) {
	cat := &snapshot.Catalog{Live: live("20260101T000000Z-0-0000000000000001", "20260101T000000Z-0-0000000000000012", "20260102T000000Z-0-0000000000000003")}
	for text, want := range map[string]int{
		"latest": 0, "20260102": 0, string(cat.Live[0].ID): 0, "20260101": exit.Usage, "2027": exit.NoSnapshot, "": exit.NoSnapshot,
	} {
		if _, err := pick(cat, text); exit.Code(err) != want {
			t.Errorf("%q: %v, want %d", text, err, want)
		}
	}
	if _, err := pick(&snapshot.Catalog{}, "latest"); exit.Code(err) != exit.NoSnapshot {
		t.Errorf("latest of none: %v", err)
	}
}

// TestWhyStay: each snapshot that stays has its reason, and none of those that go.
func TestWhyStay(t *testing.T) {
	all := live("20260101T000000Z-0-0000000000000001", "20260102T000000Z-0-0000000000000002", "20260103T000000Z-0-0000000000000003", "20260103T100000Z-0-0000000000000004")
	all[0].Pin = "audit"
	keep := snapshot.Keep{Last: 1, Daily: 2}
	got := whyStay(keep, all, keep.Drop(all))
	want := []stayView{{all[0].ID, []string{"pinned: audit"}}, {all[1].ID, []string{"daily"}}, {all[3].ID, []string{"last", "daily"}}}
	if !slices.EqualFunc(got, want, func(a, b stayView) bool { return a.ID == b.ID && slices.Equal(a.Why, b.Why) }) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := whyStay(snapshot.Keep{}, all[1:2], nil); got[0].Why[0] != "nothing says how many to keep" {
		t.Errorf("%v", got)
	}
}

// TestVariablesAsFlags: a verb that becomes a run's payload inherits no setting, so it is told all by flags, and
// the run nothing but what is its own.
func TestVariablesAsFlags(t *testing.T) {
	environ := []string{"INTERLOCK_STORE=s3://b/p", `INTERLOCK_BACKUP_EXCLUDE=["a","b c"]`, "INTERLOCK_BACKUP_MODE=live", "INTERLOCK_LOCK=zk://x/y",
		"INTERLOCK_DATA=/x", "INTERLOCK_HOLD=21s", "INTERLOCK_TOKEN=7", "PATH=/bin"}
	var got []string
	app := newApp(nil, nil)
	for _, verb := range app.Commands {
		if verb.Name == "backup" {
			verb.Action = func(c *cli.Context) error {
				got = variableFlags(c, environ)
				return nil
			}
		}
	}
	if err := app.Run([]string{"interlock", "backup", "--data", "/y"}); err != nil {
		t.Fatal(err)
	}
	want := []string{"--store=s3://b/p", "--mode=live", "--exclude=a", "--exclude=b c"}
	if slices.Sort(got); !slices.Equal(got, sorted(want)) {
		t.Errorf("got %q, want %q", got, want)
	}
	if rest := withoutSettings(environ); !slices.Equal(rest, []string{"INTERLOCK_TOKEN=7", "PATH=/bin"}) {
		t.Errorf("the run gets %q", rest)
	}
	r, err := config.Resolve(config.Inputs{Env: environ[5:6], Flags: map[string][]string{"lock": {"file:///a/b"}}, Hostname: "h"})
	if err != nil {
		t.Fatal(err)
	}
	if got := runFlags(r); !slices.Equal(got, []string{"--lock=file:///a/b", "--hold=21s", "--lock-wait=0"}) {
		t.Errorf("flags of the run: %q", got)
	}
}

func sorted(s []string) []string { slices.Sort(s); return s }
