package databases

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// filled are data directories as the servers' own programs make them, one of each kind for all tests of
// this process: making one takes longer than copying it.
var filled sync.Map // name of the kind: *template

type template struct {
	once sync.Once
	dir  string
	err  error
}

// fill puts a fresh data directory in place.
func (r *rig) fill(t testing.TB) {
	t.Helper()
	r.db.Own(t, r.Data)
	if r.db.Install == nil {
		return
	}
	slot, _ := filled.LoadOrStore(r.name, &template{})
	tmpl := slot.(*template)
	tmpl.once.Do(func() { tmpl.dir, tmpl.err = r.install() })
	must(t, tmpl.err)
	if out, err := exec.Command("cp", "-a", tmpl.dir+"/.", r.Data).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
}

// install fills this rig's directory and keeps a copy, where testkit.Main removes it at the end.
func (r *rig) install() (string, error) {
	argv := r.db.AsUser(r.db.Install...)
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w: %s", argv, err, out)
	}
	dir, err := os.MkdirTemp("", "filled")
	if err != nil {
		return "", err
	}
	copied := filepath.Join(dir, r.name)
	if out, err := exec.Command("cp", "-a", r.Data, copied).CombinedOutput(); err != nil {
		return "", fmt.Errorf("cp: %w: %s", err, out)
	}
	return copied, nil
}
