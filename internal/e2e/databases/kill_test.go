package databases

import (
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// modes are the ways of killing, by the name that the status page gives, and how a test comes to each.
func modes() map[string][]scene.Option {
	return map[string][]scene.Option{
		"pidns":     {scene.Flags("--isolate", "pidns")},
		"cgroup2":   {scene.Flags("--isolate", "cgroup")},
		"cgroup1":   {scene.Flags("--isolate", "cgroup"), scene.Wrapped(testkit.FreezerOnly)},
		"subreaper": {scene.Flags("--isolate", "none")},
		"pid1":      {scene.Wrapped(testkit.BoundedPID1)},
	}
}

// The change of credentials takes the parent-death signal away, and a server in the background has left
// session, group and parent: every way of killing ends it all the same, when the lock is lost and when the
// guard is killed.
func TestKillModes(t *testing.T) {
	t.Parallel()
	testkit.RequireRoot(t)
	for mode, options := range modes() {
		for _, k := range kinds() {
			t.Run(mode+"/"+k.name, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, k)
				r.fill(t)
				options := append([]scene.Option{scene.Command(r.daemon(t)...)}, options...)
				a := r.background(t, mode, "a", options)
				first := r.write(t)
				r.dies(t, "the lock was lost", func() { r.loseLock(t) })
				a.Expect(t, limit, 76)
				first.cut(t)

				b := r.background(t, mode, "b", options)
				r.intact(t)
				second := r.write(t)
				r.guardKilled(t, b)
				second.cut(t)
				r.Judge(t)
			})
		}
	}
}

// Where the kernel holds no container together, the server that the entrypoint has become dies as well,
// whoever of guard and agent is killed.
func TestKillWithoutContainer(t *testing.T) {
	eachKind(t, func(t *testing.T, r *rig) {
		none := scene.Flags("--isolate", "none")
		a := r.start(t, "a", none)
		r.serves(t, a)
		first := r.write(t)
		r.dies(t, "the agent was killed", func() { scene.Kill(t, a.Agent(t), syscall.SIGKILL) })
		a.Expect(t, limit, 70)
		first.cut(t)
		b := r.start(t, "b", none)
		r.serves(t, b)
		r.intact(t)
		r.guardKilled(t, b)
	})
}

// guardKilled kills the guard, whose agent must end the database and then itself.
func (r *rig) guardKilled(t *testing.T, j *scene.Job) {
	t.Helper()
	guard, agent := j.Guard(t), testkit.Snapshot(t, j.Agent(t))
	r.dies(t, "the guard was killed", func() { scene.Kill(t, guard, syscall.SIGKILL) })
	agent.WaitGone(t, limit)
}

// dies fails unless all processes of the database die soon after the deed.
func (r *rig) dies(t *testing.T, why string, deed func()) {
	t.Helper()
	deed()
	if lived := r.gone(t, scene.Now()); lived > soon+testkit.Busy(t) {
		t.Errorf("the server lived on for %v after %s: expected at most %v", lived, why, soon)
	}
}

// background starts a job whose server goes into the background, and makes the table.
func (r *rig) background(t *testing.T, mode, holder string, options []scene.Option) *scene.Job {
	t.Helper()
	j := r.start(t, holder, options...)
	if st := r.serves(t, j); st.KillMode != mode {
		t.Fatalf("mode %s: expected %s", st.KillMode, mode)
	}
	if r.table != "" {
		r.db.Query(t, r.table)
	}
	r.leftSession(t, j)
	return j
}

// leftSession fails unless the server is in another session than the payload and no child of it: else the
// test would prove nothing.
func (r *rig) leftSession(t *testing.T, j *scene.Job) {
	t.Helper()
	st, err := j.Status()
	must(t, err)
	below := testkit.Descendants(st.Payload.PID)
	open := r.watch.fresh(t)
	if len(open) == 0 {
		t.Error("no process has the data directory open")
	}
	for _, p := range open {
		if slices.Contains(below, p.pid) {
			t.Errorf("%d is below the payload %d: expected it in the background", p.pid, st.Payload.PID)
		}
	}
}

// daemon is the argv that sends the server into the background by the server's own old way.
func (r *rig) daemon(t *testing.T) []string {
	t.Helper()
	script := filepath.Join(r.bin, "daemon.sh")
	copyScript(t, "daemon.sh", script)
	switch r.name {
	case "mariadb":
		safe := append([]string{script, "setsid", "--fork", "mariadbd-safe"}, r.db.Server[1:]...)
		return append(safe, "--log-error="+filepath.Join(filepath.Dir(r.db.Socket), "log"))
	case "postgresql":
		log := filepath.Join(filepath.Dir(r.db.Socket), "log")
		return []string{script, filepath.Join(testkit.PostgreSQLBin(), "pg_ctl"), "-D", r.Data, "-l", log, "-W", "-o", strings.Join(r.db.Server[3:], " "), "start"}
	}
	return append(append([]string{script}, r.db.Server...), "--daemonize", "yes")
}
