package mountcheck

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestAQuotaOfTheDataDirectory: a directory of the mount can have less left than its root, and that counts.
func TestAQuotaOfTheDataDirectory(t *testing.T) {
	f := newFaultyFS(t)
	f.left.Store(500)
	data := filepath.Join(f.dir, "db")
	e := Expect{Path: f.dir, Bounds: Bounds{MinFree: 600 * 4096}}
	if got := one(t, Config{Expect: []Expect{e}}); got.Kind != OK {
		t.Errorf("the root alone: got %+v", got)
	}
	w := watch(t, Config{Expect: []Expect{e}, Data: data})
	got := want(t, w, f.dir, Full)
	if !strings.Contains(got.Detail, "2.0 MiB free") {
		t.Errorf("got %+v", got)
	}
	f.left.Store(700)
	want(t, w, f.dir, OK)
}

// TestEachStageHasItsOwnTime: a probe that takes longer than the timeout in all, in stages that do not, is no hang.
func TestEachStageHasItsOwnTime(t *testing.T) {
	const timeout = 3 * time.Second
	f := newFaultyFS(t)
	w := watch(t, Config{Expect: []Expect{{Path: f.dir}}, Period: time.Hour, Timeout: timeout})
	want(t, w, f.dir, OK)
	f.slow.Store(int64(timeout * 2 / 3))
	tg := w.plan.targets[0]
	looks := tg.looked()
	tg.kicked()
	eventually(t, "the probe", func() bool { return tg.looked() > looks })
	f.slow.Store(0)
	tg.mu.Lock()
	defer tg.mu.Unlock()
	if got, took := tg.state.life, tg.state.took; got.Kind != OK || took < timeout {
		t.Errorf("got %+v after %s", got, took)
	}
}

// TestNoInodesLeft: there is space, and still no file can be made.
func TestNoInodesLeft(t *testing.T) {
	dir := directory(t, "inodes")
	mount(t, "inodes", dir, "tmpfs", 0, "size=1m,nr_inodes=8")
	w := watch(t, Config{Expect: []Expect{{Path: dir, Bounds: Bounds{MinInodes: 2}}}})
	want(t, w, dir, OK)
	var made []string
	for i := range 6 {
		name := filepath.Join(dir, strconv.Itoa(i))
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		made = append(made, name)
	}
	if f := want(t, w, dir, Full); f.Fatal() || !strings.Contains(f.Detail, "inodes") {
		t.Errorf("got %+v", f)
	}
	if err := os.Remove(made[0]); err != nil {
		t.Fatal(err)
	}
	want(t, w, dir, OK)
}
