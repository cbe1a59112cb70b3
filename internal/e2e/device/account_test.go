package device

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
)

// Where nothing can be noted the lock is not asked for; where that shows only once it is held nothing is attached, and
// there is nothing to keep it for.
func TestNoPlaceForTheAccount(t *testing.T) {
	t.Parallel()
	r := newRig(t, "ext4")
	must(t, os.WriteFile(r.run, nil, 0o644))
	unasked(t, r.refused(t, 72, "is no directory", r.run))
	must(t, os.Remove(r.run))

	other := *r.Scene // another service under the same lock
	other.Data = t.TempDir()
	first := other.Run(t, "first")
	first.WaitPhase(t, limit, "serving")
	late := r.start(t, "late")
	late.WaitPhase(t, limit, "locking")
	must(t, os.WriteFile(r.run, nil, 0o644))
	first.Stop(t)
	if why := late.Expect(t, limit, 72); !strings.Contains(why, "nothing was attached") || !strings.Contains(why, r.run) {
		t.Errorf("reason %q", why)
	}
	r.down(t)
	must(t, os.Remove(r.run))
	a := r.start(t, "a")
	r.serving(t, a)
	r.ends(t, a)
}

// The account is removed while the payload serves: nobody can tell any more whose the device is, and it keeps the
// lock until a person has taken it away.
func TestAccountLost(t *testing.T) {
	t.Parallel()
	r := newRig(t, "ext4")
	a := r.start(t, "a")
	r.serving(t, a)
	must(t, os.RemoveAll(r.run))
	a.Signal(t, unix.SIGTERM)
	if st := waitState(t, a, "kept"); !strings.Contains(st.Cause, "unmount and detach it by hand") {
		t.Errorf("cause: %q", st.Cause)
	}
	if b, err := os.ReadFile(filepath.Join(r.point, "log")); err != nil || len(b) == 0 {
		t.Errorf("%q, %v: expected it still mounted", b, err)
	}
	testkit.Unmount(t, r.point)
	run(t, r.detach[0], r.detach[1:]...)
	a.Expect(t, limit, 143)
	b := r.start(t, "b")
	r.serving(t, b)
	r.ends(t, b)
}
