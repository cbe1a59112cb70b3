package storage

import (
	"path/filepath"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
)

// placed runs once and fails unless the claim lies in dir/.interlock, and in no other of these.
func placed(t *testing.T, s *scene.Scene, dir string, not []string, options ...scene.Option) {
	t.Helper()
	a := s.Run(t, "a", options...)
	alive(t, s, a)
	if code := a.Stop(t); code != 0 {
		t.Errorf("exit code %d: %s", code, a.ReasonText())
	}
	if !exists(t, filepath.Join(dir, ".interlock", "claim.json")) {
		t.Errorf("there is no claim in %s", dir)
	}
	for _, d := range not {
		if exists(t, filepath.Join(d, ".interlock")) {
			t.Errorf("there is a state directory in %s", d)
		}
	}
}

func TestStateInTheRootOfTheNamedMount(t *testing.T) {
	t.Parallel()
	s, point := mounted(t)
	sub := mkdir(t, point, "a")
	s.Data = mkdir(t, sub, "db")
	placed(t, s, point, []string{sub, s.Data, s.Dir}, scene.Flags("--mount", point))
}

func TestStateBesideTheDataOnAPlainDisk(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	placed(t, s, s.Dir, []string{s.Data})
}

// Beside it would be another filesystem, which may be gone with the container: it must go inside.
func TestStateInsideTheDataThatIsAMountpoint(t *testing.T) {
	t.Parallel()
	for name, named := range map[string]bool{"named": true, "unnamed": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, point := mounted(t)
			s.Data = point
			var options []scene.Option
			if named {
				options = append(options, scene.Flags("--mount", point))
			}
			placed(t, s, point, []string{s.Dir}, options...)
		})
	}
}

func TestStateDirByHand(t *testing.T) {
	t.Parallel()
	s, point := mounted(t)
	state := filepath.Join(point, "state")
	a := s.Run(t, "a", scene.Flags("--mount", point, "--state-dir", state))
	alive(t, s, a)
	a.Stop(t)
	if !exists(t, filepath.Join(state, "claim.json")) || exists(t, filepath.Join(point, ".interlock")) {
		t.Error("the claim does not lie where it was wanted")
	}
}

// A state directory that cannot do its work is refused before the lock is asked for.
func TestStateDirInAWrongPlace(t *testing.T) {
	t.Parallel()
	s, point := mounted(t)
	for name, dir := range map[string]string{
		"in-data":    filepath.Join(s.Data, "state"),
		"above-data": point,
		"off-mount":  filepath.Join(s.Dir, "state"),
	} {
		a := s.Run(t, name, scene.Flags("--mount", point, "--state-dir", dir))
		wantReason(t, a.Expect(t, limit, 78), dir)
		if exists(t, filepath.Join(s.Dir, "lock")) {
			t.Errorf("%s: it went on to the lock", name)
		}
	}
	if exists(t, filepath.Join(s.Dir, "state")) || exists(t, filepath.Join(s.Data, "state")) {
		t.Error("a refused state directory was created")
	}
	nothingBegan(t, s)
}

// Two services in one parent directory have one default place: the second is refused before it touches
// anything, is told the way out, and lives with it beside the first.
func TestTwoServicesInOneParent(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	a := s.Run(t, "a")
	alive(t, s, a)
	second := *s
	second.Data, second.Lock, second.Trace = mkdir(t, s.Dir, "second"), s.Lock+"2", s.Trace+"2"
	claim := read(t, claimFile(s))
	wantReason(t, second.Run(t, "b", shell(t, "restore-exec", "touch "+second.Data+"/x")).Expect(t, limit, 78), "--state-dir", s.Scope())
	if exists(t, filepath.Join(second.Data, "x")) || read(t, claimFile(s)) != claim {
		t.Error("the refused one touched data or claim")
	}
	nothingBegan(t, &second)
	own := filepath.Join(s.Dir, ".interlock-second")
	c := second.Run(t, "c", scene.Flags("--state-dir", own))
	alive(t, &second, c)
	if !exists(t, filepath.Join(own, "claim.json")) {
		t.Errorf("no claim in %s", own)
	}
	if st, err := a.Status(); err != nil || st.Phase != "serving" {
		t.Errorf("the first one: %+v, %v", st, err)
	}
	c.Stop(t)
	a.Stop(t)
}
