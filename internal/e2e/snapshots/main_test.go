// Package snapshots has the end-to-end tests of the verbs for snapshots: the built binary against a
// repository in a directory and in a real S3 bucket.
//
// Promise: each verb, what it prints for scripts, and its end when something is wrong: keys, bucket, damage, a
// full disk, kill -9 at any moment. Non-promise: snapshots inside `interlock run` are tested in vault, presets
// and modes in package backup.
package snapshots

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/fstree"
	"github.com/interlock-run/interlock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.MainWithMounts(m) }

// limit is a hang guard, never a measurement.
const limit = 2 * time.Minute

// A place is a store, and how a verb reaches it.
type place struct {
	dir   string   // where its objects lie as files
	flags []string // that name it
	env   []string
	home  string // of the test
	to    string // the recipient of an encrypted repository

	dirAsCwd bool // verbs run in home
}

// inDirectory is an empty directory for a repository.
func inDirectory(t testing.TB) *place {
	t.Helper()
	home := t.TempDir()
	p := &place{dir: filepath.Join(home, "store"), home: home}
	must(t, os.Mkdir(p.dir, 0o755))
	p.flags = []string{"--store", "file://" + p.dir}
	return p
}

const bucket = "orders"

// inS3 is an empty bucket of a server of its own, whose objects are files.
func inS3(t testing.TB) *place {
	t.Helper()
	s := testkit.S3(t, testkit.S3Options{})
	s.Bucket(t, bucket)
	p := &place{dir: filepath.Join(s.Dir(), bucket, "db"), home: t.TempDir()}
	p.flags, p.env = s.Flags("s3://"+bucket+"/db", s.Endpoint()), s.Env(p.home)
	return p
}

// everywhere runs a test on both kinds of store.
func everywhere(t *testing.T, test func(*testing.T, *place)) {
	t.Parallel()
	t.Run("directory", func(t *testing.T) { t.Parallel(); test(t, inDirectory(t)) })
	t.Run("s3", func(t *testing.T) { t.Parallel(); test(t, inS3(t)) })
}

// start starts a verb on the store.
func (p *place) start(t testing.TB, words ...string) *testkit.Process {
	t.Helper()
	verb, rest := words[:1], words[1:]
	if words[0] == "store" || words[0] == "lock" {
		verb, rest = words[:2], words[2:]
	}
	args := append(append([]string{}, verb...), p.flags...)
	if words[0] == "backup" {
		args = append(args, "--scratch", p.scratch(t))
	}
	cmd := exec.Command(testkit.Binary(t), append(args, rest...)...)
	cmd.Env = append(os.Environ(), p.env...)
	if p.dirAsCwd {
		cmd.Dir = p.home
	}
	return testkit.StartCmd(t, cmd)
}

func (p *place) scratch(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(p.home, "scratch")
	must(t, os.MkdirAll(dir, 0o755))
	return dir
}

// run runs a verb to its end.
func (p *place) run(t testing.TB, words ...string) (code int, stdout, stderr string) {
	t.Helper()
	proc := p.start(t, words...)
	code = proc.Wait(t, limit)
	return code, proc.Stdout(t), proc.Stderr(t)
}

// ok is run for what must succeed.
func (p *place) ok(t testing.TB, words ...string) string {
	t.Helper()
	code, stdout, stderr := p.run(t, words...)
	if code != 0 {
		t.Fatalf("%q ended with %d: %s%s", words, code, stdout, stderr)
	}
	return stdout
}

// ends is run for what must fail so, and say so in one line on stderr.
func (p *place) ends(t testing.TB, code int, says string, words ...string) {
	t.Helper()
	got, _, stderr := p.run(t, words...)
	if got != code || !strings.Contains(stderr, says) {
		t.Errorf("%q ended with %d, want %d and %q: %s", words, got, code, says, stderr)
	}
}

// A snapshotDoc is one snapshot in --json.
type snapshotDoc struct {
	ID      string    `json:"id"`
	Number  uint64    `json:"number"`
	Parent  string    `json:"parent"`
	Time    time.Time `json:"time"`
	Age     float64   `json:"age_seconds"`
	Token   string    `json:"token"`
	Entries int64     `json:"entries"`
	Bytes   int64     `json:"bytes"`
	Stored  int64     `json:"stored"`
	About   struct {
		Mode    string            `json:"mode"`
		Preset  string            `json:"preset"`
		Holder  string            `json:"holder"`
		Node    string            `json:"node"`
		Release string            `json:"release"`
		Labels  map[string]string `json:"labels"`
	} `json:"about"`
	Pin     string `json:"pin"`
	Damaged string `json:"damaged"`
}

type scopeDoc struct {
	Lock string `json:"lock"`
	Kind string `json:"kind"`
}

// list is `snapshots --json`.
func (p *place) list(t testing.TB) []snapshotDoc {
	t.Helper()
	var doc struct {
		Store      string        `json:"store"`
		Repository string        `json:"repository"`
		Catalog    uint64        `json:"catalog"`
		Token      string        `json:"token"`
		Scope      scopeDoc      `json:"scope"`
		Snapshots  []snapshotDoc `json:"snapshots"`
	}
	strictly(t, p.ok(t, "snapshots", "--json"), &doc)
	return doc.Snapshots
}

// strictly decodes one document in which nothing is unknown.
func strictly(t testing.TB, text string, into any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		t.Fatalf("more than one document: %s", text)
	}
}

// last is the last line of a text: the result of a long verb.
func last(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// tree makes a directory with files of all kinds.
func tree(t testing.TB, dir string) string {
	t.Helper()
	must(t, os.MkdirAll(filepath.Join(dir, "sub", "empty"), 0o750))
	write(t, filepath.Join(dir, "big"), noise(1, 3<<20))
	write(t, filepath.Join(dir, "sub", "small"), []byte("some text\n"))
	write(t, filepath.Join(dir, "sub", "none"), nil)
	must(t, os.Symlink("small", filepath.Join(dir, "sub", "link")))
	must(t, os.Link(filepath.Join(dir, "big"), filepath.Join(dir, "sub", "same")))
	return dir
}

// noise does not compress, and is the same for the same seed.
func noise(seed uint64, size int) []byte {
	b := make([]byte, size)
	x := seed*2862933555777941757 + 3037000493
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	must(t, os.WriteFile(path, data, 0o640))
}

// same compares two trees in all that a snapshot keeps.
func same(t testing.TB, a, b string) {
	t.Helper()
	x, err := fstree.Open(a, fstree.Options{})
	must(t, err)
	defer x.Close()
	y, err := fstree.Open(b, fstree.Options{})
	must(t, err)
	defer y.Close()
	differences, err := fstree.Equal(x, y, fstree.EqualOptions{})
	must(t, err)
	for _, d := range differences {
		t.Errorf("%s and %s: %s", a, b, d)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
