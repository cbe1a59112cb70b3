package storage

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// dry runs `run --dry-run` with these flags more, and fails if it changed anything below the scene.
func dry(t *testing.T, s *scene.Scene, code int, more ...string) string {
	t.Helper()
	touch := filepath.Join(s.Dir, "touched")
	argv := append([]string{"run", "--dry-run", "--lock", s.Lock, "--data", s.Data, "--holder", "d",
		"--restore-exec", fmt.Sprintf(`["touch",%q]`, touch), "--hooks-pre-start-exec", fmt.Sprintf(`["touch",%q]`, touch)}, s.Timing...)
	before := tree(t, s.Dir)
	got, out, errs := scene.Interlock(t, append(append(argv, more...), "--", "touch", touch)...)
	if got != code {
		t.Errorf("exit code %d, expected %d: %s%s", got, code, out, errs)
	}
	if after := tree(t, s.Dir); after != before {
		t.Errorf("the dry run touched something:\n%s\nthen\n%s", before, after)
	}
	return out + errs
}

func TestDryRunTouchesNothing(t *testing.T) {
	t.Parallel()
	s, point := mounted(t)
	wantReason(t, dry(t, s, 0), point, s.Lock, "touch")
	wantReason(t, dry(t, s, 0, "--mount", point), filepath.Join(point, ".interlock"))
	once(t, s, "a", scene.Flags("--mount", point))
	dry(t, s, 0, "--mount", point)
}

// The exit code is that of the first thing that would end the run.
func TestDryRunExitCodes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		code  int
		prove func(t *testing.T, s *scene.Scene) (flags []string)
	}{
		{"mount missing", 72, func(t *testing.T, s *scene.Scene) []string { return []string{"--mount", s.Dir + "/none"} }},
		{"bare directory", 72, func(t *testing.T, s *scene.Scene) []string { return []string{"--mount", s.Data} }},
		{"data missing", 73, func(t *testing.T, s *scene.Scene) []string { s.Data += "2"; return nil }},
		{"data is a file", 73, func(t *testing.T, s *scene.Scene) []string {
			s.Data += "2"
			write(t, s.Data, "x")
			return nil
		}},
		{"state of restore corrupt", 73, func(t *testing.T, s *scene.Scene) []string {
			write(t, mkdir(t, s.State)+"/restore.json", "{")
			return nil
		}},
		{"state directory in the data", 78, func(t *testing.T, s *scene.Scene) []string { return []string{"--state-dir", s.Data + "/state"} }},
		{"claim corrupt", 78, func(t *testing.T, s *scene.Scene) []string { putClaim(t, s, "{"); return nil }},
		{"claim of another lock", 78, func(t *testing.T, s *scene.Scene) []string {
			putClaim(t, s, claimOf("1", "file:///elsewhere"))
			return nil
		}},
		{"claim of our own lock", 0, func(t *testing.T, s *scene.Scene) []string { putClaim(t, s, claimOf("1", s.Scope())); return nil }},
		{"bad configuration", 78, func(t *testing.T, s *scene.Scene) []string { return []string{"--hold", "1s"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := scene.New(t)
			flags := c.prove(t, s)
			dry(t, s, c.code, flags...)
		})
	}
}

// A data directory with something in it, one with an unfinished restore: said, and left as it is.
func TestDryRunOfARestore(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	killedInTheMiddle(t, s)
	wantReason(t, dry(t, s, 0), "resume")
	if !exists(t, filepath.Join(s.Data, "part/deep/file")) {
		t.Error("the leftovers were removed")
	}
	wantReason(t, dry(t, s, 73, "--restore-when", "never"), "restore.json")
}

// Beside a holder: it says who, and the lock file does not change.
func TestDryRunBesideAHolder(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	a := s.Run(t, "someone", scene.Command("sleep", "1000"))
	a.Serving(t)
	got, out, errs := scene.Interlock(t, "run", "--dry-run", "--lock", s.Lock, "--data", s.Data, "--", "true")
	if got != 0 || !strings.Contains(out, "someone") {
		t.Errorf("exit code %d: %s%s: expected 0 and the holder's name", got, out, errs)
	}
	if code, _, _ := scene.Interlock(t, "run", "--dry-run", "--lock-wait", "0", "--lock", s.Lock, "--", "true"); code != 75 {
		t.Errorf("with no time to wait: exit code %d, expected 75", code)
	}
	if v := show(t, s); len(v.Queue) != 1 {
		t.Errorf("the dry run queued: %+v", v)
	}
	a.Stop(t)
}

// Not one key, watch or lease at the lock service: its revision stays. Not in parallel: nobody else may
// write to that server.
func TestDryRunLeavesTheLockServiceAlone(t *testing.T) {
	e := testkit.SharedEtcd(t)
	s := scene.New(t)
	s.Lock = "etcd://" + e.Addr() + "/" + t.Name()
	leases := func() string {
		out, err := e.Ctl("lease", "list")
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	before, had := revision(t, e), leases()
	dry(t, s, 0)
	if after := revision(t, e); after != before || leases() != had {
		t.Errorf("revision %s, then %s; leases %s, then %s", before, after, had, leases())
	}
}

// Unreachable: a run would go on trying, unless it was told not to wait.
func TestDryRunWithoutALockService(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	s.Lock = "etcd://127.0.0.1:1/none"
	dry(t, s, 0)
	dry(t, s, 69, "--lock-wait", "0")
}
