package restore

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// place makes a data directory and names a state directory beside it.
func place(t *testing.T) Target {
	t.Helper()
	root := t.TempDir()
	data := filepath.Join(root, "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	return Target{Data: data, StateDir: filepath.Join(root, ".interlock"), Token: 1, Holder: "a", When: WhenEmpty}
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestInspectDataDirectory(t *testing.T) {
	for name, c := range map[string]struct {
		make func(t *testing.T, data string)
		want DirState
	}{
		"empty":                    {func(*testing.T, string) {}, DirEmpty},
		"our own directories":      {func(t *testing.T, d string) { mkdirs(t, d, ".interlock/x", "lost+found") }, DirEmpty},
		"the mount's identity":     {func(t *testing.T, d string) { write(t, filepath.Join(d, ".interlock-volume")) }, DirEmpty},
		"a directory of that name": {func(t *testing.T, d string) { mkdirs(t, d, ".interlock-volume") }, DirNonempty},
		"a file":                   {func(t *testing.T, d string) { write(t, filepath.Join(d, "f")) }, DirNonempty},
		"a file named as our directory": {func(t *testing.T, d string) {
			write(t, filepath.Join(d, "lost+found"))
		}, DirNonempty},
		"a dangling link": {func(t *testing.T, d string) { link(t, "nowhere", filepath.Join(d, "l")) }, DirNonempty},
		"a link named as our directory": {func(t *testing.T, d string) {
			link(t, "/", filepath.Join(d, "lost+found"))
		}, DirNonempty},
		"missing":    {remove, DirMissing},
		"not one":    {func(t *testing.T, d string) { remove(t, d); write(t, d) }, DirNot},
		"a link":     {func(t *testing.T, d string) { remove(t, d); mkdirs(t, d+"x", "y"); link(t, d+"x", d) }, DirNot},
		"loop above": {func(t *testing.T, d string) { remove(t, d); link(t, d, d) }, DirNot},
	} {
		t.Run(name, func(t *testing.T) {
			p := place(t)
			c.make(t, p.Data)
			l := Inspect(p.Data, p.StateDir, 1)
			if l.Dir != c.want || l.Trouble != "" || l.Found {
				t.Errorf("%+v: expected %s", l, c.want)
			}
			if (l.Inode != 0) != (c.want == DirEmpty || c.want == DirNonempty) {
				t.Errorf("inode %d of a directory that is %s", l.Inode, l.Dir)
			}
		})
	}
}

func mkdirs(t *testing.T, root string, names ...string) {
	t.Helper()
	for _, n := range names {
		if err := os.MkdirAll(filepath.Join(root, n), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func link(t *testing.T, to, at string) {
	t.Helper()
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func TestUnusableStateIsTrouble(t *testing.T) {
	for name, content := range map[string]string{
		"empty": "", "zeros": "\x00\x00\x00", "torn": `{"v":2,"data":"../da`,
		"newer":      `{"v":3,"data":"../data","inode":1,"phase":"clean","when":"empty","token":"1"}`,
		"no phase":   `{"v":2,"data":"../data","inode":1,"when":"empty","token":"1"}`,
		"odd phase":  `{"v":2,"data":"../data","inode":1,"phase":"done","when":"empty","token":"1"}`,
		"no when":    `{"v":2,"data":"../data","inode":1,"phase":"restoring","token":"1"}`,
		"never":      `{"v":2,"data":"../data","inode":1,"phase":"restoring","when":"never","token":"1"}`,
		"no token":   `{"v":2,"data":"../data","inode":1,"phase":"restoring","when":"empty"}`,
		"no inode":   `{"v":2,"data":"../data","phase":"restoring","when":"empty","token":"1"}`,
		"no data":    `{"v":2,"inode":1,"phase":"restoring","when":"empty","token":"1"}`,
		"mixed":      `{"v":2,"data":"../data","inode":1,"phase":"empty-recorded","when":"always","token":"1"}`,
		"two values": `{"v":2,"data":"../data","inode":1,"phase":"clean","when":"empty","token":"1"}{}`,
	} {
		t.Run(name, func(t *testing.T) {
			p := place(t)
			mkdirs(t, p.StateDir, ".")
			path := filepath.Join(p.StateDir, StateFile)
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			l := Inspect(p.Data, p.StateDir, 1)
			if l.Trouble == "" || l.Found || !strings.Contains(l.Trouble, path) || !strings.Contains(l.Trouble, "remove the file") {
				t.Errorf("%+v: expected trouble with path and way out", l)
			}
			if err := Begin(p, Decision{Action: Run}); !errors.Is(err, ErrRefused) {
				t.Errorf("begin: %v: expected ErrRefused", err)
			}
		})
	}
}

func TestStateDirectoryThatIsAFileIsTrouble(t *testing.T) {
	p := place(t)
	write(t, p.StateDir)
	if l := Inspect(p.Data, p.StateDir, 1); l.Trouble == "" {
		t.Errorf("%+v: expected trouble", l)
	}
}

func FuzzParseState(f *testing.F) {
	for _, s := range []string{
		"", "{}", "null", "[1]", `{"v":2,"data":"../data","inode":1,"phase":"clean","when":"empty","token":"1"}`,
		`{"v":2,"data":"..","inode":18446744073709551615,"phase":"restoring","when":"always","token":"9223372036854775807","started":"2026-01-01T00:00:00Z"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseState(data)
		if err != nil {
			if !errors.Is(err, ErrState) || s != (State{}) {
				t.Fatalf("%v, %+v: expected ErrState and nothing else", err, s)
			}
			return
		}
		again, err := json.Marshal(s)
		if err != nil {
			t.Skip("a time beyond year 9999")
		}
		if s2, err := ParseState(again); err != nil || s2.Phase != s.Phase || s2.When != s.When || s2.Inode != s.Inode || s2.Token != s.Token {
			t.Fatalf("%+v came back as %+v, %v", s, s2, err)
		}
	})
}
