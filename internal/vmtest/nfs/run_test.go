//go:build vm

package nfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/e2e/ordeal"
	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/internal/vmtest"
	"github.com/interlock-run/interlock/internal/vmtest/late"
)

const hard = "NFS 4.2, hard (VM)"

// Each fault of the server, below a run.
func TestRun(t *testing.T) {
	for _, c := range []struct {
		fault       string
		begin, heal func(server)
		findings    []string
		failAfter   time.Duration
	}{
		{"server stopped", server.stop, server.start, []string{"hung"}, 0},
		{"network cut", func(s server) { s.Cut() }, func(s server) { s.Join() }, []string{"hung"}, 0},
		{"server started again within `fail_after=10s`", func(s server) { s.stop(); s.start() }, func(server) {}, nil, 10 * time.Second},
		{"unexported", server.unexport, server.start, []string{"denied"}, 0},
		{"export turned read-only", func(s server) { s.export("ro") }, func(s server) { s.export("rw") }, []string{"readonly"}, 0},
		{"server's disk full", server.fill, server.drop, []string{"full"}, 0},
		{"another filesystem behind the same export", server.replace, server.restore, []string{"wrong"}, 0},
	} {
		t.Run(strings.ReplaceAll(c.fault, "`", ""), func(t *testing.T) {
			s := newServer(t)
			dir := s.mount("")
			volume(t, dir)
			ordeal.Run(t, ordeal.Case{
				Filesystem: hard, Fault: c.fault, Mount: dir, Expect: ",fstype=nfs4,volume=v1", FailAfter: c.failAfter,
				Break: func() { c.begin(s) }, Heal: func() { c.heal(s) }, Findings: c.findings,
				Arrived: func() string { return changed(t, filepath.Join(exported, "data", "file")) },
			})
		})
	}
}

// What happens to the mount on this machine.
func TestRunUnmounted(t *testing.T) {
	s := newServer(t)
	dir := s.mount("")
	volume(t, dir)
	ordeal.Run(t, ordeal.Case{
		Filesystem: hard, Fault: "unmounted lazily", Mount: dir, Expect: ",fstype=nfs4,volume=v1", Findings: []string{"absent"},
		Break: func() { late.Unmount(t, dir, "lazily") }, Heal: func() {},
		Arrived: func() string { return changed(t, filepath.Join(exported, "data", "file")) },
	})
}

// TestRunDirectory: the exported tree stays, the directory that is mounted goes.
func TestRunDirectory(t *testing.T) {
	s := newServer(t)
	sub := filepath.Join(exported, "sub")
	must(t, os.Mkdir(sub, 0o755))
	t.Cleanup(func() { must(t, os.RemoveAll(sub)) })
	dir := s.mountOf("/sub", "")
	volume(t, dir)
	ordeal.Run(t, ordeal.Case{
		Filesystem: hard, Fault: "mounted directory removed and made again at the server", Mount: dir, Expect: ",fstype=nfs4,volume=v1",
		Break: func() {
			testkit.Wait(t, vmtest.Limit, func() (bool, string) { // while somebody makes files in it
				err := os.RemoveAll(sub)
				return err == nil, fmt.Sprint(err)
			})
			must(t, os.Mkdir(sub, 0o755))
		},
		Findings: []string{"stale", "wrong"}, // as the probe meets it: files go first
		Arrived:  func() string { return changed(t, filepath.Join(sub, "data", "file")) },
	})
}

// volume gives the mount an identity, and takes what earlier rows left.
func volume(t *testing.T, dir string) {
	t.Helper()
	must(t, os.RemoveAll(filepath.Join(dir, ".interlock")))
	must(t, os.RemoveAll(filepath.Join(dir, "data")))
	vmtest.Interlock(t, "mount", "init", "--volume", "v1", dir)
}

// changed tells what a write at the server changes; it opens nothing, for the client has a delegation.
func changed(t *testing.T, path string) string {
	st, err := os.Lstat(path)
	if err != nil {
		return err.Error()
	}
	return st.ModTime().String()
}

// export changes how it is exported.
func (s server) export(how string) { s.t.Helper(); s.exportTo("10.77.0.0/24", how) }

func (s server) exportTo(who, how string) {
	s.t.Helper()
	s.write(who, how)
	s.At("exportfs -ra && exportfs -f")
}

// fill takes all space of the server's disk, also what a probe's file had that was there at that moment; drop gives it
// back.
func (s server) fill() {
	s.t.Helper()
	f, err := os.Create(filepath.Join(exported, "fill"))
	must(s.t, err)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for range 20 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, 1<<20))
		}
		if !errors.Is(err, unix.ENOSPC) {
			s.t.Fatal(err)
		}
		<-again.C
	}
	must(s.t, f.Close())
}

func (s server) drop() { s.t.Helper(); must(s.t, os.Remove(filepath.Join(exported, "fill"))) }

// replace puts an empty filesystem behind the export; restore takes it away.
func (s server) replace() {
	s.t.Helper()
	must(s.t, unix.Mount("backing", exported, "tmpfs", 0, "size=64m"))
	s.At("exportfs -f")
}

func (s server) restore() {
	s.t.Helper()
	must(s.t, unix.Unmount(exported, unix.MNT_DETACH))
	s.At("exportfs -f")
}

// With `on_stuck: free` the run itself ends a payload that SIGKILL does not.
func TestRunFree(t *testing.T) {
	s := newServer(t)
	dir := s.mount("")
	volume(t, dir)
	ordeal.Run(t, ordeal.Case{
		Filesystem: hard, Fault: "network cut, `on_stuck: free`", Mount: dir, Expect: ",fstype=nfs4,volume=v1", Findings: []string{"hung"},
		Flags: []string{"--on-stuck", "free", "--budgets-drain", "3s"}, Rescue: "umount",
		Break: func() { s.Cut() }, Heal: func() { s.Join() },
		Arrived: func() string { return changed(t, filepath.Join(exported, "data", "file")) },
	})
}
