package snapshot

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
)

// TestRecover follows RECOVER.txt with the real zstd and Python: it takes the script out of the text as the
// text says, and restores an increment with it.
func TestRecover(t *testing.T) { eachForm(t, testRecover) }

func testRecover(t *testing.T, as form) {
	for _, tool := range as.tools() {
		if _, err := exec.LookPath(tool); err != nil {
			testkit.Skip(t, tool, "not installed")
		}
	}
	st := newMemStore()
	r := as.repo(t, st)
	files := recoverable()
	takes(t, r, Holder{}, files)
	files[2].data[200<<10]++
	files[2].touch()
	s := takes(t, r, Holder{}, files)
	repo, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	unpack(t, st, repo)
	if as.key != nil {
		repo = decrypted(t, repo, as.key.String())
	}
	shell(t, repo, "zstd -tq snap/*/*.pack")
	shell(t, repo, `sed -n '/^#!/,$p' RECOVER.txt >recover.py`)
	if list := shell(t, repo, "python3 recover.py . list"); !strings.Contains(list, string(s.ID)) {
		t.Errorf("list says %q, want %s in it", list, s.ID)
	}
	shell(t, repo, "python3 recover.py . "+string(s.ID)+" "+out)
	for _, f := range files {
		checkRecovered(t, filepath.Join(out, f.Path), f)
	}
}

func (f form) tools() []string {
	if f.key == nil {
		return []string{"python3", "zstd"}
	}
	return []string{"python3", "zstd", "age"}
}

// decrypted runs the commands of an encrypted repository's RECOVER.txt, with the places filled in.
func decrypted(t *testing.T, repo, identity string) string {
	t.Helper()
	key, plain := filepath.Join(t.TempDir(), "key"), filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(key, []byte(identity+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	commands := shell(t, repo, `sed -n '/^  KEY=/,/^  done/p' RECOVER.txt`)
	commands = strings.NewReplacer("/path/to/identity.txt", key, "/path/to/copy", plain).Replace(commands)
	if out := shell(t, repo, commands); out != "" {
		t.Errorf("%s says %s", commands, out)
	}
	return plain
}

// recoverable is aTree without what only root restores.
func recoverable() []*testFile {
	var list []*testFile
	for _, f := range aTree()[:200] {
		if f.Kind == FIFO {
			f.MTime = Time{1_600_000_000, 77} // the one of aTree is beyond what filesystems keep
		}
		if f.Kind != Char {
			f.UID, f.GID, f.Xattrs = uint32(os.Getuid()), uint32(os.Getgid()), nil
			list = append(list, f)
		}
	}
	return list
}

func unpack(t *testing.T, st *memStore, dir string) {
	t.Helper()
	for key, data := range st.objects {
		path := filepath.Join(dir, key)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func shell(t *testing.T, dir, line string) string {
	t.Helper()
	cmd := exec.Command("sh", "-ec", line)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", line, err, out)
	}
	return string(out)
}

func checkRecovered(t *testing.T, path string, want *testFile) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Error(err)
		return
	}
	switch want.Kind {
	case File:
		data, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(data, want.data) {
			t.Errorf("%q: %d bytes, %v, want %d", path, len(data), err, len(want.data))
		}
	case Symlink:
		if target, err := os.Readlink(path); err != nil || target != want.Target {
			t.Errorf("%q points to %q, %v, want %q", path, target, err, want.Target)
		}
	case FIFO:
		if info.Mode().Type() != fs.ModeNamedPipe {
			t.Errorf("%q is %s", path, info.Mode())
		}
	}
	if want.Kind != Link && !info.ModTime().Equal(want.MTime.Time()) {
		t.Errorf("%q: time %s, want %s", path, info.ModTime(), want.MTime.Time())
	}
	if want.Kind != Link && want.Kind != Symlink && uint32(info.Mode().Perm()) != want.Mode&0o777 {
		t.Errorf("%q: mode %s, want %o", path, info.Mode(), want.Mode)
	}
}
