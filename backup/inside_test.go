package backup

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestScratchInsideTheData: a home holds its own cache, and in that what we write while we copy. It is left out,
// whatever the names above it, also through a link.
func TestScratchInsideTheData(t *testing.T) {
	r := newRig(t)
	for n := range 3000 { // so many that the manifest is written while the tree is read
		r.write(fmt.Sprintf(".a/%s-%04d", strings.Repeat("n", 200), n), "")
	}
	r.write("z", "data")
	r.o.Scratch = filepath.Join(r.data, `.cache/[odd]*\?`)
	must(t, os.MkdirAll(r.o.Scratch, 0o755))
	r.scratch = r.o.Scratch
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(r.data, link))
	for _, scratch := range []string{r.scratch, filepath.Join(link, `.cache/[odd]*\?`)} {
		r.o.Scratch = scratch
		res := r.takes(r.cold())
		for path := range r.content(res.Snapshot) {
			if strings.Contains(path, scratchName) {
				t.Errorf("%q is in the snapshot", path)
			}
		}
		if want := int64(3000 + 5); res.Snapshot.Entries != want {
			t.Errorf("%d entries, want %d", res.Snapshot.Entries, want)
		}
	}
}
