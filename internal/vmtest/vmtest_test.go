package vmtest

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestWithDependencies(t *testing.T) {
	const deps = "kernel/fs/a.ko: kernel/fs/b.ko kernel/c.ko\nkernel/fs/b.ko: kernel/c.ko\nkernel/c.ko:\nkernel/x/long-name.ko:\n"
	got, err := withDependencies(deps, []string{"a", "long_name"})
	want := []string{"kernel/fs/a.ko", "kernel/fs/b.ko", "kernel/c.ko", "kernel/x/long-name.ko"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if _, err := withDependencies(deps, []string{"fs"}); err == nil {
		t.Error("a module that is not there was found")
	}
}

func TestForwarded(t *testing.T) {
	got := forwarded([]string{"-test.v=true", "-test.testlogfile=/x", "-test.run=^TestX$", "-test.coverprofile=/y"})
	if want := []string{"-test.v=true", "-test.run=^TestX$"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// The verdict is the first process's alone: what looks like one and lacks the mark is output of a test.
func TestRead(t *testing.T) {
	for _, c := range []struct {
		name, text string
		code       int
		found      bool
		reset      string
		failed     bool
	}{
		{"verdict", "a line\n@@vmtest-M exit 3\n", 3, true, "", false},
		{"none", "a line\n", 1, false, "", false},
		{"cut off", "a line\n@@vmtest-M ex", 1, false, "", false},
		{"of another", "@@vmtest-N exit 0\n", 1, false, "", false},
		{"reset", "@@vmtest-M reset TestX\n", 1, false, "TestX", false},
		{"reset that did not come", "@@vmtest-M reset TestX\n@@vmtest-M exit 1\n", 1, true, "TestX", false},
		{"failure before a reset", "--- FAIL: TestA (1.00s)\n@@vmtest-M reset TestX\n", 1, false, "TestX", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &machine{mark: "@@vmtest-M", out: io.Discard}
			code, found, err := m.read(strings.NewReader(c.text))
			if err != nil || code != c.code || found != c.found || m.reset != c.reset || m.failed != c.failed {
				t.Errorf("got %d, %v, %q, %v, %v", code, found, m.reset, m.failed, err)
			}
		})
	}
}

// Another program unpacks what we pack.
func TestArchive(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("python3 is not installed")
	}
	var packed bytes.Buffer
	a := newArchive(&packed)
	a.file("/x/y/odd", 0o755, []byte("hello"))
	a.link("/l", "x/y")
	a.file("/x/y/odd", 0o755, []byte("again"))
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	const script = `
import sys
b=open(sys.argv[1],'rb').read(); at=0
while True:
    assert b[at:at+6]==b'070701'
    f=[int(b[at+6+8*i:at+14+8*i],16) for i in range(13)]
    name=b[at+110:at+110+f[11]-1].decode(); at=(at+110+f[11]+3)//4*4
    if name=='TRAILER!!!': break
    print(name,oct(f[1]),b[at:at+f[6]].decode()); at=(at+f[6]+3)//4*4
`
	file := filepath.Join(t.TempDir(), "cpio")
	if err := os.WriteFile(file, packed.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("python3", "-c", script, file).CombinedOutput()
	want := "x 0o40755 \nx/y 0o40755 \nx/y/odd 0o100755 hello\nl 0o120777 x/y\n"
	if err != nil || string(out) != want {
		t.Errorf("got %v:\n%swant:\n%s", err, out, want)
	}
}

// On a host no test body may run.
func TestInsideOnAHost(t *testing.T) {
	t.Setenv(missingVar, "qemu is not installed")
	t.Run("skipped", func(t *testing.T) {
		defer func() {
			if !t.Skipped() {
				t.Error("went on")
			}
		}()
		Inside(t)
		t.Error("went on")
	})
}
