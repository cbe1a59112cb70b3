package databases

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// postgres is a PostgreSQL that serves, with the default timing: nothing here waits for a hold, and what a
// loaded machine holds up must not be taken over.
func postgres(t *testing.T, stop string) (*rig, *scene.Job) {
	t.Helper()
	testkit.RequireRoot(t)
	r := newRig(t, kindNamed(t, "postgresql"))
	r.Timing, r.stop = nil, stop
	a := r.start(t, "a", scene.Flags("--stop-grace", "60s"))
	r.serves(t, a)
	return r, a
}

// With a client open TERM alone does not stop PostgreSQL: it waits for the client, and interlock for it.
// Once the client has gone, both end.
func TestPostgresWaitsOnTERM(t *testing.T) {
	t.Parallel()
	r, a := postgres(t, "TERM")
	client := r.db.Open(t)
	ask(t, client, "SELECT 1;")
	a.Signal(t, syscall.SIGTERM)
	a.WaitPhase(t, limit, "stopping")
	select {
	case <-a.Exited():
		t.Fatal("it stopped although a client was open: the documents say otherwise")
	case <-time.After(5 * time.Second):
	}
	ask(t, client, "SELECT 2;")
	asked := scene.Now()
	client.Close(t)
	a.Expect(t, limit, 0)
	r.drainedSince(t, a, asked)
}

// INT, as --stop-signal or sent to interlock itself, which hands it on as it is, stops it at once.
func TestPostgresStopsOnINT(t *testing.T) {
	t.Parallel()
	for sig, flag := range map[syscall.Signal]string{syscall.SIGTERM: "INT", syscall.SIGINT: "TERM"} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			r, a := postgres(t, flag)
			w := r.write(t)
			asked := scene.Now()
			a.Signal(t, sig)
			a.Expect(t, limit, 0)
			w.cut(t)
			r.drainedSince(t, a, asked)
			if !strings.Contains(r.log(t, a), "received fast shutdown request") {
				t.Error("PostgreSQL's log knows of no fast shutdown")
			}
		})
	}
}

// QUIT reaches PostgreSQL as it is: it ends at once without a checkpoint, and the next start recovers.
func TestPostgresQuits(t *testing.T) {
	t.Parallel()
	r, a := postgres(t, "INT")
	w := r.write(t)
	asked := scene.Now()
	a.Signal(t, syscall.SIGQUIT)
	if code := a.Wait(t, limit); code != 0 {
		t.Errorf("ended with %d: %s", code, a.ReasonText())
	}
	w.cut(t)
	if took := scene.Now() - asked; took > soon+testkit.Busy(t) {
		t.Errorf("QUIT took %v", took)
	}
	if phase := r.RecordedPhase(t); phase != "drained" {
		t.Errorf("the record says %s: expected drained", phase)
	}
	if log := r.log(t, a); !strings.Contains(log, "received immediate shutdown request") {
		t.Error("PostgreSQL's log knows of no immediate shutdown")
	}
	b := r.start(t, "b")
	r.serves(t, b)
	r.intact(t)
	if !strings.Contains(r.log(t, b), r.recovers) {
		t.Errorf("the next server's log does not say %q", r.recovers)
	}
	r.stopsClean(t, b)
}

// HUP makes PostgreSQL read its configuration again; with USR1, USR2 and WINCH it serves on.
func TestPostgresReloads(t *testing.T) {
	t.Parallel()
	r, a := postgres(t, "INT")
	client := r.db.Open(t)
	if got := ask(t, client, "SHOW work_mem;"); got != "4MB" {
		t.Fatalf("work_mem is %s: expected the default", got)
	}
	must(t, appendFile(filepath.Join(r.Data, "postgresql.conf"), "work_mem = '7MB'\n"))
	a.Signal(t, syscall.SIGHUP)
	waitFor(t, func() (bool, string) {
		got := ask(t, client, "SHOW work_mem;")
		return got == "7MB", "work_mem is " + got
	})
	for _, sig := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH} {
		a.Signal(t, sig)
	}
	w := r.write(t)
	if st, err := a.Status(); err != nil || st.Phase != "serving" {
		t.Errorf("%v, %v: expected to serve on", st.Phase, err)
	}
	r.stopsClean(t, a)
	w.cut(t)
}

// dumb-init signals the whole session of its child: each database is told once and stops clean.
func TestDumbInit(t *testing.T) {
	if !onPath("dumb-init") {
		testkit.Skip(t, "dumb-init", "not installed (Debian: dumb-init)")
	}
	eachKind(t, func(t *testing.T, r *rig) {
		r.Timing = nil
		a := r.start(t, "a", scene.Wrapped(func(_ testing.TB, argv ...string) []string { return append([]string{"dumb-init", "--"}, argv...) }))
		r.serves(t, a)
		w := r.write(t)
		r.stopsClean(t, a)
		w.cut(t)
		if n := strings.Count(r.log(t, a), r.told); n != 1 {
			t.Errorf("the server's log says %d times %q: expected one stop", n, r.told)
		}
	})
}

// drainedSince fails unless the stop was clean and soon after that moment.
func (r *rig) drainedSince(t testing.TB, j *scene.Job, since time.Duration) {
	t.Helper()
	if took := scene.Now() - since; took > soon+testkit.Busy(t) {
		t.Errorf("the stop took %v: expected at most %v", took, soon)
	}
	if phase := r.RecordedPhase(t); phase != "drained" {
		t.Errorf("the record says %s: expected drained", phase)
	}
	if !strings.Contains(r.log(t, j), r.ended) {
		t.Errorf("the server's log does not say %q", r.ended)
	}
}

func ask(t testing.TB, s *testkit.Session, statement string) string {
	t.Helper()
	answer, err := s.Ask(statement, limit)
	must(t, err)
	return answer
}
