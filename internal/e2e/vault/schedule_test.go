package vault

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// counts waits until so many backups of a result are counted, the service going on.
func counts(t testing.TB, j *scene.Job, result string, least int) scene.Status {
	t.Helper()
	var last scene.Status
	testkit.Wait(t, limit, func() (bool, string) {
		st, err := j.Status()
		if err != nil {
			return false, err.Error()
		}
		if last = st; st.Phase != "serving" {
			t.Fatalf("phase %s: the service was to go on: %s", st.Phase, j.ReasonText())
		}
		return st.Snapshots.Backups[result] >= least, fmt.Sprintf("%+v", *st.Snapshots)
	})
	return last
}

// The store goes away for a while: backups fail and are counted, the service goes on, and when the store is
// back so are the backups. Retention keeps what it was told to.
func TestScheduleOutlivesTheStore(t *testing.T) {
	t.Parallel()
	v := inS3(t)
	a := v.node(t, "a")
	v.flags = v.direct()
	j := a.serves(t, every("1s"), scene.Flags("--restore-on-empty", "start", "--budgets-claim", "2s"))
	counts(t, j, "published", 2)
	v.s3.Kill(t)
	st := counts(t, j, "failed", 2)
	if st.Snapshots.Failure == "" {
		t.Errorf("%+v: expected the last failure", st.Snapshots)
	}
	v.s3.Restart(t)
	had := st.Snapshots.Backups["published"]
	st = counts(t, j, "published", had+4)
	if st.Snapshots.Failure != "" {
		t.Errorf("%+v: expected no failure after a success", st.Snapshots)
	}
	if ids := v.snapshots(t); len(ids) < 3 || len(ids) > 4 {
		t.Errorf("%d snapshots: expected the last three, and one that is new", len(ids))
	}
	_, metrics, err := j.Get("/metrics")
	if err != nil || !strings.Contains(metrics, "interlock_backup_last_success_timestamp_seconds 1") || strings.Contains(metrics, `interlock_backups_total{result="failed"} 0`) {
		t.Errorf("%v: %s", err, metrics)
	}
	if code := j.Stop(t); code != 143 {
		t.Errorf("ended with %d: %s", code, j.ReasonText())
	}
}

// A stop does not wait for a backup.
func TestStopInABackup(t *testing.T) {
	t.Parallel()
	v := inS3(t)
	a := v.node(t, "a")
	g := v.hold(t, -1, puts("/snap/"))
	j := a.serves(t, every("1s"), scene.Flags("--restore-on-empty", "start"))
	g.wait(t)
	pid := courier(t, j)
	if st, err := j.Status(); err != nil || st.Snapshots.UnderWay == nil || st.Snapshots.UnderWay.What != "backup" {
		t.Errorf("%+v, %v: expected a backup under way", st.Snapshots, err)
	}
	if least := niceness(t, pid); least < 15 {
		t.Errorf("a thread of the courier has a niceness of %d beside a payload that serves", least)
	}
	if code := j.Stop(t); code != 143 {
		t.Errorf("ended with %d: %s", code, j.ReasonText())
	}
	gone(t, pid)
	g.carryOut()
	if ids := v.snapshots(t); len(ids) > 0 {
		t.Errorf("snapshots %v: expected none", ids)
	}
}

// niceness is the least of all threads of a process.
func niceness(t testing.TB, pid int) int {
	t.Helper()
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	must(t, err)
	least := 20
	for _, path := range stats {
		raw, err := os.ReadFile(path)
		must(t, err)
		f := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
		n, err := strconv.Atoi(f[16])
		must(t, err)
		least = min(least, n)
	}
	return least
}

// A freeze command is let go whoever dies: the courier alone, or all at a stop.
func TestFreezeIsLetGo(t *testing.T) {
	t.Parallel()
	v := inS3(t)
	a := v.node(t, "a")
	log := filepath.Join(v.Dir, "freeze")
	g := v.hold(t, -1, puts("/snap/"))
	script := fmt.Sprintf(`["sh","-c","echo frozen >> %s; echo ready; cat; echo thawed >> %s"]`, log, log)
	j := a.serves(t, scene.Flags("--restore-on-empty", "start", "--backup-schedule", "1s", "--backup-mode", "hook", "--backup-freeze", script, "--backup-keep-last", "2"))
	g.wait(t)
	scene.Kill(t, courier(t, j), syscall.SIGKILL)
	testkit.Wait(t, limit, func() (bool, string) {
		raw, err := os.ReadFile(log)
		return err == nil && strings.HasPrefix(string(raw), "frozen\nthawed\n"), fmt.Sprintf("%q, %v", raw, err)
	})
	v.proxy.Heal()
	g.release()
	counts(t, j, "published", 1)
	if code := j.Stop(t); code != 143 {
		t.Errorf("ended with %d: %s", code, j.ReasonText())
	}
}

// The last snapshot cannot be taken: that is told, and holds up nothing: the lock is given back as drained.
func TestOnStopWithoutAStore(t *testing.T) {
	t.Parallel()
	v := inS3(t)
	a := v.node(t, "a")
	a.firstStart(t)
	j := a.serves(t, saving(), scene.Flags("--budgets-claim", "4s"))
	v.s3.Kill(t)
	if code := j.Stop(t); code != 143 {
		t.Errorf("ended with %d: %s", code, j.ReasonText())
	}
	if log := j.Stderr(t); !strings.Contains(log, "backup failed") {
		t.Errorf("nobody told that it failed: %s", log)
	}
	v.s3.Restart(t)
	again := a.serves(t)
	if log := again.Stderr(t); !strings.Contains(log, "the previous holder ended and drained") {
		t.Errorf("log %s", log)
	}
	again.Stop(t)
}

// Only the courier has the store's keys: payload, hooks and the commands of a backup have the rest.
func TestSecrets(t *testing.T) {
	t.Parallel()
	v := inS3(t)
	a := v.node(t, "a")
	said := filepath.Join(v.Dir, "said")
	env := func(who string) string { return fmt.Sprintf(`["sh","-c","env > %s-%s; echo x"]`, said, who) }
	j := a.start(t, scene.Flags("--restore-on-empty", "start", "--hooks-pre-start-exec", env("hook"),
		"--backup-schedule", "1s", "--backup-exec", env("backup"), "--backup-keep-last", "1"),
		scene.Command("sh", "-c", "env > "+said+"-payload; exec sleep 1000"))
	counts(t, serving(t, j), "published", 1)
	for _, who := range []string{"hook", "backup", "payload"} {
		raw, err := os.ReadFile(said + "-" + who)
		must(t, err)
		if strings.Contains(string(raw), "AWS_ACCESS_KEY_ID") || strings.Contains(string(raw), v.s3.SecretKey) || !strings.Contains(string(raw), "INTERLOCK_TOKEN=") {
			t.Errorf("%s has %s", who, raw)
		}
	}
	j.Stop(t)
}

func serving(t testing.TB, j *scene.Job) *scene.Job {
	t.Helper()
	j.WaitPhase(t, limit, "serving")
	return j
}
