package databases

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// Where interlock drops the user itself, or runs as the database's user from the start, the entrypoint has
// nothing to drop and does the rest. On a plain disk what interlock keeps lies beside the data.
func TestUsers(t *testing.T) {
	eachKind(t, func(t *testing.T, r *rig) {
		r.db.Own(t, r.Data)
		uid, gid := r.db.IDs(t)
		a := r.start(t, "a", scene.Flags("--user", fmt.Sprintf("%d:%d", uid, gid)))
		r.used(t, a)
		r.hasNothingOfOurs(t, a)
		r.stopsClean(t, a)

		must(t, os.RemoveAll(filepath.Join(r.Dir, ".interlock"))) // root's
		b := r.start(t, "b", scene.Wrapped(func(_ testing.TB, argv ...string) []string { return r.db.AsUser(argv...) }))
		r.used(t, b)
		r.stopsClean(t, b)
	})
}

// The data below a mount: what interlock keeps lies in the root of the mount.
func TestBelowMount(t *testing.T) {
	t.Parallel()
	testkit.RequireRoot(t)
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			s, point := mounted(t)
			s.Data = filepath.Join(point, "db")
			must(t, os.Mkdir(s.Data, 0o700))
			r := newRigOn(t, k, s, s.Data)
			a := r.start(t, "a", scene.Flags("--mount", point+",fstype=tmpfs"))
			r.used(t, a)
			r.hasNothingOfOurs(t, a)
			if _, err := os.Stat(filepath.Join(point, ".interlock", "claim.json")); err != nil {
				t.Errorf("expected the claim in the root of the mount: %v", err)
			}
			r.stopsClean(t, a)
		})
	}
}

// The data directory is itself the mountpoint: interlock warns, initdb refuses, and a PGDATA below the
// mountpoint, as PostgreSQL's image recommends, is the way out.
func TestPostgresOnMountpoint(t *testing.T) {
	t.Parallel()
	testkit.RequireRoot(t)
	s, point := mounted(t)
	s.Data = point
	r := newRigOn(t, kindNamed(t, "postgresql"), s, filepath.Join(point, "pgdata"))
	refused := r.make(t, point)
	a := r.start(t, "a", scene.Flags("--mount", point), scene.Command(append([]string{"docker-entrypoint.sh"}, refused.Server...)...),
		scene.Env("DATADIR="+point, "INSTALL="+strings.Join(refused.Install, " ")))
	a.Expect(t, limit, 1) // of initdb, through set -e
	if text := a.Stderr(t); !strings.Contains(text, "is itself a mount point") || !strings.Contains(text, "exists but is not empty") {
		t.Error("expected interlock's warning and initdb's refusal")
	}
	b := r.start(t, "b", scene.Flags("--mount", point))
	r.used(t, b)
	r.stopsClean(t, b)
	c := r.start(t, "c", scene.Flags("--mount", point))
	r.serves(t, c)
	r.intact(t)
	r.stopsClean(t, c)
}

// MariaDB takes every directory for a database, and then a dump of all fails; its own option is the way out.
func TestMariaDBOnMountpoint(t *testing.T) {
	t.Parallel()
	testkit.RequireRoot(t)
	s, point := mounted(t)
	s.Data = point
	r := newRigOn(t, kindNamed(t, "mariadb"), s, point)
	a := r.start(t, "a", scene.Flags("--mount", point))
	r.used(t, a)
	if !slices.Contains(r.listed(t), "#mysql50#.interlock") {
		t.Errorf("databases %q: expected ours, as the documents say", r.listed(t))
	}
	r.stopsClean(t, a)
	b := r.start(t, "b", scene.Flags("--mount", point), r.entrypoint("--ignore-db-dirs=.interlock"))
	r.used(t, b)
	r.listsOnlyIts(t)
	r.stopsClean(t, b)
	if order := r.Judge(t); len(order) != 2 {
		t.Errorf("tenures with tokens %v: expected two", order)
	}
}

// Redis has nothing against a directory that it did not make.
func TestRedisOnMountpoint(t *testing.T) {
	t.Parallel()
	testkit.RequireRoot(t)
	s, point := mounted(t)
	s.Data = point
	r := newRigOn(t, kindNamed(t, "redis"), s, point)
	a := r.start(t, "a", scene.Flags("--mount", point))
	r.used(t, a)
	r.stopsClean(t, a)
}

// used waits until the server serves, as its own user, with all rows so far, and writes more.
func (r *rig) used(t *testing.T, j *scene.Job) {
	t.Helper()
	st := r.serves(t, j)
	info, err := os.Stat(fmt.Sprintf("/proc/%d/task", st.Payload.PID))
	must(t, err)
	if uid, _ := r.db.IDs(t); int(info.Sys().(*syscall.Stat_t).Uid) != uid {
		t.Errorf("the server is not run by %s", r.db.User)
	}
	r.intact(t)
	r.write(t)
}

// hasNothingOfOurs looks into the data directory and at what MariaDB makes of it.
func (r *rig) hasNothingOfOurs(t *testing.T, j *scene.Job) {
	t.Helper()
	names, err := os.ReadDir(r.Data)
	must(t, err)
	for _, n := range names {
		if strings.HasPrefix(n.Name(), ".interlock") {
			t.Errorf("%s in the data directory", n.Name())
		}
	}
	if strings.Contains(j.Stderr(t), "is itself a mount point") {
		t.Error("a warning of a mount point")
	}
	if r.name == "mariadb" {
		r.listsOnlyIts(t)
	}
}

func (r *rig) listed(t *testing.T) []string {
	t.Helper()
	return strings.Fields(r.db.Query(t, "SHOW DATABASES;"))
}

func (r *rig) listsOnlyIts(t *testing.T) {
	t.Helper()
	if got := r.listed(t); !slices.Equal(got, []string{"app", "information_schema", "mysql", "performance_schema", "sys"}) {
		t.Errorf("databases %q: expected MariaDB's own and app", got)
	}
}

// mounted is a scene with a tmpfs.
func mounted(t testing.TB) (*scene.Scene, string) {
	t.Helper()
	testkit.Binary(t)
	s := scene.New(t)
	point := filepath.Join(s.Dir, "mnt")
	must(t, os.Mkdir(point, 0o755))
	must(t, unix.Mount("databases-test", point, "tmpfs", 0, "size=300m,mode=755"))
	t.Cleanup(func() {
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			t.Errorf("umount %s: %v", point, err)
		}
	})
	return s, point
}
