package ending

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// A claim that hangs is given up after its budget (T7). What hangs in it could still write the claim, so the lock
// is kept until it is dead; the payload is never started.
func TestClaimThatHangs(t *testing.T) {
	s := onFaultFS(t)
	t.Cleanup(s.fs.Free)
	s.fs.Set(t, "hang rename")
	a := s.Run(t, "a", s.Payload(t), scene.Flags("--mount", s.fs.Dir, "--probe-period", "10m", "--budgets-claim", "1s"))
	a.WaitPhase(t, limit, "killing")
	until(t, a, "it is killed and not dead", func(v view) bool { return len(v.Stuck) > 0 })
	b := s.rival(t)
	keeps(t, a, b)
	stop(t, b)
	b.Expect(t, limit, 143)
	s.fs.Set(t, "ok")
	a.Expect(t, limit, 72)
	s.wantRecord(t, "dead", true)
	if n := s.Count(t, "begin"); n != 0 {
		t.Errorf("%d payloads began", n)
	}
	again := s.Run(t, "again", s.Payload(t), scene.Flags("--mount", s.fs.Dir, "--probe-period", "10m"))
	again.Serving(t)
	testkit.Wait(t, limit, func() (bool, string) { return s.Count(t, "begin") == 1, "the next payload has not begun" })
}

// So is the look at the mounts that comes after the grant, and nothing was started that would have to die.
func TestMountThatHangsAtTheGrant(t *testing.T) {
	s := onFaultFS(t)
	t.Cleanup(s.fs.Free)
	other := *s.Scene
	other.Data = filepath.Join(s.Dir, "data")
	a := other.Run(t, "a", scene.Command("/bin/sleep", "1000"))
	a.Serving(t)
	b := s.Run(t, "b", s.Payload(t), scene.Flags("--mount", s.fs.Dir, "--probe-period", "10m", "--probe-timeout", "1s", "--budgets-mount", "2s"))
	b.WaitPhase(t, limit, "locking")
	s.fs.Set(t, "hang")
	stop(t, a)
	if why := b.Expect(t, limit, 72); !strings.Contains(why, s.fs.Dir) {
		t.Errorf("the reason %q does not name the mount", why)
	}
	s.wantRecord(t, "drained", false)
	if n := s.Count(t, "begin"); n != 0 {
		t.Errorf("%d payloads began", n)
	}
}
