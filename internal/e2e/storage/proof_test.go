package storage

import (
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

var granted = regexp.MustCompile(`msg=granted .*hold_off=(\S+) why="([^"]*)"`)

// owed is what the log says of the grant: how long the hold-off is, and why.
func owed(t *testing.T, j *scene.Job) (holdOff, why string) {
	t.Helper()
	testkit.Wait(t, limit, func() (bool, string) {
		if m := granted.FindStringSubmatch(j.Stderr(t)); m != nil {
			holdOff, why = m[1], m[2]
		}
		return holdOff != "", "nothing was granted: " + j.ReasonText()
	})
	return holdOff, why
}

// An empty lock service is no proof that nobody runs. That every place of a claim was read, and holds none, is
// one (T3): a shared mount that was named, where no claim lies, and no store, which is not read before the wait.
func TestProofThatNobodyEverRan(t *testing.T) {
	e := testkit.SharedEtcd(t)
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, s *scene.Scene, f *testkit.FaultFS)
		flags   func(t *testing.T, s *scene.Scene, f *testkit.FaultFS) []string
		waits   bool
	}{
		{name: "nobody"},
		{name: "claim", prepare: claimed, waits: true},
		{name: "claim that cannot be read", prepare: func(t *testing.T, _ *scene.Scene, f *testkit.FaultFS) {
			command(t, "mkdir", "-p", filepath.Join(f.Back, ".interlock/claim.json"))
		}, waits: true},
		{name: "mount not named", flags: func(*testing.T, *scene.Scene, *testkit.FaultFS) []string { return nil }, waits: true},
		{name: "another mount named", flags: func(t *testing.T, s *scene.Scene, _ *testkit.FaultFS) []string {
			point := filepath.Join(s.Dir, "mnt")
			tmpfs(t, point)
			return []string{"--mount", point}
		}, waits: true},
		{name: "store", flags: func(t *testing.T, s *scene.Scene, f *testkit.FaultFS) []string {
			return []string{"--mount", f.Dir, "--store", repository(t, s)}
		}, waits: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, f := scene.New(t), testkit.StartFaultFS(t, "")
			s.Lock, s.Timing = "etcd://"+e.Addr()+"/"+filepath.Base(s.Dir), []string{"--hold", "60s"}
			mkdir(t, f.Back, "db")
			s.Data = filepath.Join(f.Dir, "db")
			flags := []string{"--mount", f.Dir}
			if c.flags != nil {
				flags = c.flags(t, s, f)
			}
			if c.prepare != nil {
				c.prepare(t, s, f)
			}
			j := s.Run(t, "b", scene.Flags(flags...))
			if left, why := owed(t, j); (left != "0s") != c.waits {
				t.Errorf("a hold-off of %s (%s): expected one: %v", left, why, c.waits)
			}
			j.Signal(t, syscall.SIGTERM)
			j.Wait(t, limit)
		})
	}
}

// claimed leaves the claim of a holder that was killed, and nothing of it in the lock service.
func claimed(t *testing.T, s *scene.Scene, f *testkit.FaultFS) {
	t.Helper()
	other := *s
	other.Lock = "file://" + filepath.Join(s.Dir, "elsewhere")
	a := other.Run(t, "a", scene.Flags("--mount", f.Dir))
	a.Serving(t)
	a.Stop(t)
	if _, err := os.Stat(filepath.Join(f.Back, ".interlock/claim.json")); err != nil {
		t.Fatal(err)
	}
}

// repository is a new one in a directory.
func repository(t *testing.T, s *scene.Scene) string {
	t.Helper()
	url := "file://" + mkdir(t, s.Dir, "store")
	if code, out, errs := scene.Interlock(t, "store", "init", "--store", url); code != 0 {
		t.Fatalf("store init: %d: %s%s", code, out, errs)
	}
	return url
}
