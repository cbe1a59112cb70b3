package databases

import (
	"strings"
	"syscall"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// The whole life of a database under writes: first start on an empty directory, guard and agent killed, the
// server killed, a clean stop with open clients, and the start after that. A second interlock takes over
// each time, with every acknowledged row and no two servers alive at once.
func TestLife(t *testing.T) {
	eachKind(t, func(t *testing.T, r *rig) {
		a := r.start(t, "a")
		r.serves(t, a)
		first := r.write(t)
		b := r.start(t, "b")
		b.WaitPhase(t, limit, "locking")

		r.killBoth(t, a)
		first.cut(t)
		r.serves(t, b)
		r.intact(t)
		second := r.write(t)
		c := r.start(t, "c")
		c.WaitPhase(t, limit, "locking")

		server, err := b.Status()
		must(t, err)
		scene.Kill(t, server.Payload.PID, syscall.SIGKILL)
		b.Expect(t, limit, 137)
		second.cut(t)
		r.serves(t, c)
		r.intact(t)

		third := r.write(t)
		r.stopsClean(t, c)
		third.cut(t)
		d := r.start(t, "d")
		r.serves(t, d)
		r.intact(t)
		r.stopsClean(t, d)
		r.logs(t, b, c, d)
		if order := r.Judge(t); len(order) != 4 {
			t.Errorf("tenures with tokens %v: expected four", order)
		}
	})
}

// killBoth kills guard and agent at once. Both are stopped first: the survivor of the moment in between
// would know what to do.
func (r *rig) killBoth(t testing.TB, j *scene.Job) {
	t.Helper()
	agent := j.Agent(t)
	for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
		scene.Kill(t, agent, sig)
		scene.Kill(t, j.Pid(), sig)
	}
	j.Wait(t, limit)
}

// stopsClean stops a job while clients are open.
func (r *rig) stopsClean(t testing.TB, j *scene.Job) {
	t.Helper()
	idle := r.db.Open(t)
	if _, err := idle.Ask(r.probe(), limit); err != nil {
		t.Fatal(err)
	}
	tree := testkit.Snapshot(t, j.Pid())
	asked := scene.Now()
	if code := j.Stop(t); code != 0 {
		t.Errorf("%s ended with %d: %s: expected 0", j.Holder, code, j.ReasonText())
	}
	if took := scene.Now() - asked; took > soon+quick+testkit.Busy(t) {
		t.Errorf("the stop took %v", took)
	}
	if left := tree.Alive(); len(left) > 0 {
		t.Errorf("processes %v outlived interlock", left)
	}
	if phase := r.RecordedPhase(t); phase != "drained" {
		t.Errorf("the record says %s: expected drained", phase)
	}
	if !strings.Contains(r.log(t, j), r.ended) {
		t.Errorf("the server's log does not say %q", r.ended)
	}
}

// probe is a statement that answers one line.
func (r *rig) probe() string {
	if r.name == "redis" {
		return "EXISTS none"
	}
	return "SELECT 1;"
}

// logs looks whether each server found what the end before it had left: two crashes, then a clean stop.
func (r *rig) logs(t testing.TB, crashed, crashedToo, clean *scene.Job) {
	t.Helper()
	for _, j := range []*scene.Job{crashed, crashedToo} {
		if !strings.Contains(r.log(t, j), r.recovers) {
			t.Errorf("%s: the server's log does not say %q after a crash", j.Holder, r.recovers)
		}
	}
	log := r.log(t, clean)
	if !strings.Contains(log, r.calm) {
		t.Errorf("%s: the server's log does not say %q after a clean stop", clean.Holder, r.calm)
	}
	if r.recovers != "" && strings.Contains(log, r.recovers) {
		t.Errorf("%s: the server had to recover after a clean stop", clean.Holder)
	}
}

// log is what the last server of a job wrote: the one before may be the entrypoint's temporary one, which
// pg_ctl gives another stream.
func (r *rig) log(t testing.TB, j *scene.Job) string {
	t.Helper()
	for _, text := range []string{j.Stderr(t), j.Stdout(t)} {
		if at := strings.LastIndex(text, r.starts); at >= 0 {
			return text[at:]
		}
	}
	t.Errorf("%s: no server's log says %q", j.Holder, r.starts)
	return ""
}
