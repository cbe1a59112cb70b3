package dir

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
)

// tracedPlace is where TestTraced writes, in the copy of this binary that TestSyncOrder looks at.
const tracedPlace = "STORE_DIR_TRACED"

// TestTraced does nothing by itself.
func TestTraced(t *testing.T) {
	place := os.Getenv(tracedPlace)
	if place == "" {
		return
	}
	d := open(t, place)
	if err := d.Create(t.Context(), "catalog/1", []byte("created")); err != nil {
		t.Fatal(err)
	}
	if err := d.Put(t.Context(), "snap/x/2", strings.NewReader("put"), 3); err != nil {
		t.Fatal(err)
	}
}

// TestSyncOrder: the bytes are synced before their name is given, and the folders up to the root after it.
// No test can cut the power, so the calls themselves are looked at.
func TestSyncOrder(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		testkit.Skip(t, "strace", "it is not installed")
	}
	place := t.TempDir()
	out := filepath.Join(t.TempDir(), "calls")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(strace, "-f", "-y", "-s", "300", "-o", out, "-e", "trace=fsync,linkat,renameat,renameat2", self, "-test.run", "^TestTraced$")
	cmd.Env = append(os.Environ(), tracedPlace+"="+place)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	raw, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	inOrder(t, string(raw), "fsync.*/"+tempDir+"/", `linkat.*"1"`, "fsync.*"+place+"/catalog>", "fsync.*"+place+">",
		"fsync.*/"+tempDir+"/", `rename.*"2"`, "fsync.*"+place+"/snap/x>", "fsync.*"+place+"/snap>", "fsync.*"+place+">")
}

// inOrder wants lines that match, each after the one before.
func inOrder(t *testing.T, text string, patterns ...string) {
	t.Helper()
	lines := strings.Split(text, "\n")
	for i, p := range patterns {
		found := -1
		for n, line := range lines {
			if regexp.MustCompile(p).MatchString(line) {
				found = n
				break
			}
		}
		if found < 0 {
			t.Fatalf("step %d, %s, is missing behind the ones before:\n%s", i, p, text)
		}
		lines = lines[found+1:]
	}
}
