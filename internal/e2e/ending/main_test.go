// Package ending has the end-to-end tests of how a run ends when its storage does not let it: processes that do not
// die, a sync that hangs, a mount that cannot be told drained.
package ending

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.MainWithMounts(m) }

// limit bounds what should take a second or two on a machine that has other work to do.
const limit = 40 * time.Second

// hold leaves room for a kill budget in which a guard on a busy machine has its word.
const hold = 5 * time.Second

// A stage is a run whose data lies on a FUSE filesystem that fails on command.
type stage struct {
	*scene.Scene
	fs *testkit.FaultFS
}

func onFaultFS(t *testing.T) stage {
	t.Helper()
	t.Parallel()
	s := stage{scene.New(t), testkit.StartFaultFS(t, "")}
	s.Timing = []string{"--hold", hold.String(), "--heartbeat", "300ms", "--try-timeout", "400ms", "--tries", "3",
		"--grace", "500ms", "--kill-budget", "2s", "--margin", "100ms"}
	if err := os.Mkdir(filepath.Join(s.fs.Back, "db"), 0o777); err != nil {
		t.Fatal(err)
	}
	s.Data = filepath.Join(s.fs.Dir, "db")
	return s
}

// run starts a holder whose mount is named, and waits until nothing but the payload touches it.
func (s stage) run(t *testing.T, command scene.Option, flags ...string) *scene.Job {
	t.Helper()
	flags = append([]string{"--mount", s.fs.Dir, "--probe-period", "10m", "--budgets-drain", "500ms"}, flags...)
	a := s.Run(t, "a", command, scene.Flags(flags...))
	t.Cleanup(s.fs.Free) // before it is waited for: nobody else frees what hangs
	a.Serving(t)
	testkit.Wait(t, limit, func() (bool, string) {
		_, err := os.Stat(filepath.Join(s.fs.Back, "db", "file"))
		return err == nil || s.Count(t, "begin") > 0, "the payload has not begun"
	})
	testkit.Wait(t, limit, func() (bool, string) {
		st, err := a.Status()
		return err == nil && len(st.Mounts) > 0 && st.Mounts[0].Finding == "ok", "the first write probe has not ended"
	})
	return a
}

// writer writes to the data without end, and is killed soon where it does not end by itself.
func (s stage) writer() scene.Option {
	return scene.All(scene.Command("/bin/sh", "-c", "while :; do echo more >> "+s.Data+"/file; sleep 0.02; done"), scene.Flags("--stop-grace", "300ms"))
}

// rival contends for the same lock, with data elsewhere.
func (s stage) rival(t *testing.T, flags ...string) *scene.Job {
	t.Helper()
	other := *s.Scene
	other.Data = filepath.Join(s.Dir, "data")
	b := other.Run(t, "b", scene.Flags(flags...))
	b.WaitPhase(t, limit, "locking")
	return b
}

// view is what these tests read of /status.
type view struct {
	Phase   string
	Stuck   []int
	Drain   string   `json:"drain_overdue"`
	Pulled  []string `json:"levers_pulled"`
	Volumes []storage
	Lock    struct {
		Held      bool
		LeaseLeft float64 `json:"lease_left_seconds"`
	}
}

type storage struct {
	Path, Outlook, State string
	Why                  string `json:"state_why"`
	Levers               []string
}

func look(t *testing.T, j *scene.Job) view {
	t.Helper()
	_, body, err := j.Get("/status")
	var v view
	if err == nil {
		err = json.Unmarshal([]byte(body), &v)
	}
	if err != nil {
		t.Fatalf("%s: %v: %s", j.Holder, err, j.ReasonText())
	}
	return v
}

func until(t *testing.T, j *scene.Job, what string, seen func(view) bool) {
	t.Helper()
	testkit.Wait(t, limit, func() (bool, string) {
		v := look(t, j)
		return seen(v), fmt.Sprintf("%s: %+v", what, v)
	})
}

// keeps fails unless the lock is held by a, and renewed, for longer than the hold, while b gets nothing.
func keeps(t *testing.T, a, b *scene.Job) {
	t.Helper()
	a.Keeps(t, hold+time.Second)
	if st, err := b.Status(); err != nil || st.Phase != "locking" {
		t.Errorf("b: %+v, %v: expected it to wait", st, err)
	}
}

// record is what the lock's record says.
func (s stage) record(t *testing.T) (phase string, volumes []string) {
	t.Helper()
	var v struct {
		Record *struct {
			Phase   string
			Volumes []string
		}
	}
	s.ShowLock(t, &v)
	if v.Record == nil {
		return "none", nil
	}
	return v.Record.Phase, v.Record.Volumes
}

func (s stage) wantRecord(t *testing.T, want string, named bool) {
	t.Helper()
	phase, volumes := s.record(t)
	names := slices.ContainsFunc(volumes, func(v string) bool { return strings.HasSuffix(v, s.fs.Dir) })
	if phase != want || names != named {
		t.Errorf("the record says %s and names %q: expected %s, the volume named: %v", phase, volumes, want, named)
	}
}

// hang lets every write hang, and waits until the payload stands in one that SIGKILL does not end.
func (s stage) hang(t *testing.T) {
	t.Helper()
	s.fs.Set(t, "hang write")
	s.fs.Holds(t)
}

// logged is when a job said this.
func logged(t *testing.T, j *scene.Job, words string) time.Time {
	t.Helper()
	for line := range strings.Lines(j.Stderr(t)) {
		if stamp, ok := strings.CutPrefix(line, "time="); ok && strings.Contains(line, words) {
			stamp, _, _ = strings.Cut(stamp, " ")
			at, err := time.Parse(time.RFC3339Nano, stamp)
			if err != nil {
				t.Fatal(err)
			}
			return at
		}
	}
	t.Fatalf("%s did not say %s: %s", j.Holder, words, j.Stderr(t))
	return time.Time{}
}

func command(t *testing.T, argv ...string) {
	t.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v: %s", argv, err, out)
	}
}

func stop(t *testing.T, j *scene.Job) { t.Helper(); j.Signal(t, syscall.SIGTERM) }
