package device

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// A device that cannot be detached, or unmounted, keeps the lock, held and renewed, until it can.
func TestKept(t *testing.T) {
	t.Parallel()
	for name, hinder := range map[string]func(testing.TB, *rig) (undo func()){
		"detach": func(t testing.TB, r *rig) func() {
			return func() { must(t, os.WriteFile(filepath.Join(r.Dir, "may"), nil, 0o644)) }
		},
		"unmount": func(t testing.TB, r *rig) func() {
			must(t, os.WriteFile(filepath.Join(r.Dir, "may"), nil, 0o644))
			f, err := os.Open(filepath.Join(r.point, "log"))
			must(t, err)
			t.Cleanup(func() { _ = f.Close() }) // most often it was
			return func() { must(t, f.Close()) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "ext4")
			r.detach = []string{"sh", "-c", fmt.Sprintf("test -e %s/may || { echo busy there >&2; exit 9; }; losetup -d %s", r.Dir, r.dev)}
			a := r.start(t, "a")
			r.serving(t, a)
			undo := hinder(t, r)
			b := r.start(t, "b")
			b.WaitPhase(t, limit, "locking")
			a.Signal(t, unix.SIGTERM)
			st := waitState(t, a, "kept")
			if st.Cause == "" {
				t.Errorf("%+v: expected the cause", st)
			}
			tried := st.Tries
			testkit.Wait(t, limit, func() (bool, string) {
				return stateOf(t, a).Tries > tried+1, "it is not tried again"
			})
			if got, err := a.Status(); err != nil || !got.Lock.Held || got.Lock.LeaseLeft <= 0 {
				t.Errorf("%+v, %v: expected the lock held and renewed", got.Lock, err)
			}
			if got, err := b.Status(); err != nil || got.Phase != "locking" {
				t.Errorf("b: %+v, %v: expected it to wait", got, err)
			}
			undo()
			a.Expect(t, limit, 143)
			r.serving(t, b)
			r.ends(t, b)
		})
	}
}

// The lock is lost while a device stays: it is cut off as far as that goes, what is left is said, and the next start
// on this node clears it.
func TestKeptAndLost(t *testing.T) {
	t.Parallel()
	r := newRig(t, "ext4")
	r.detach = []string{"sh", "-c", fmt.Sprintf("test -e %s/may && losetup -d %s", r.Dir, r.dev)}
	a := r.start(t, "a")
	r.serving(t, a)
	a.Signal(t, unix.SIGTERM)
	waitState(t, a, "kept")
	must(t, os.Remove(strings.TrimPrefix(r.Lock, "file://")))
	a.Expect(t, limit, 76) // not the 143 of the stop
	if said := a.Stderr(t); !strings.Contains(said, "still attached, without the lock") || !testkit.Attached(t, r.dev) {
		t.Errorf("attached %v: %s", testkit.Attached(t, r.dev), said)
	}
	must(t, os.WriteFile(filepath.Join(r.Dir, "may"), nil, 0o644))
	run(t, testkit.Binary(t), "lock", "init", "--lock", r.Lock)
	b := r.start(t, "b", scene.Flags("--token-epoch", "1"))
	r.serving(t, b)
	r.ends(t, b)
}

// The node that lost the lock without an end of its own keeps the server's only place: another one is refused,
// is told why, and comes up once the first is fenced at the storage, or has cleared up after itself.
func TestSecondNode(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"fenced", "cleared"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "ext4")
			e := serveOne(t, r.image)
			one, two := r.node(t, e, "one"), r.node(t, e, "two")
			a := one.start(t, "a")
			one.serving(t, a)
			killed(t, a)
			if !testkit.Attached(t, one.dev) {
				t.Fatal("it is not attached any more: the test has lost its sense")
			}
			two.refused(t, 72, "the export is taken")
			if how == "fenced" {
				e.reset(t, "one", one)
				b := two.start(t, "b")
				two.serving(t, b)
				two.ends(t, b)
			}
			again := one.start(t, "again") // what it still has of the lost attachment is cleared first
			one.serving(t, again)
			one.ends(t, again)
			if how == "cleared" {
				b := two.start(t, "b")
				two.serving(t, b)
				two.ends(t, b)
			}
		})
	}
}
