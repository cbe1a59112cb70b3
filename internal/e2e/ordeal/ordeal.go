// Package ordeal puts a run of the built binary through one fault of the filesystem that its payload writes
// to, and reports the row of the table in docs/mounts.md (internal/measured).
//
// Promise: the payload writes and syncs all the time; finding, death and end are seen from outside, by
// /status, a descriptor of the payload's process and the record; what arrives at the server after the
// record said drained fails the test. Non-promise: times are no more exact than asking each 100 ms makes
// them: an emulated machine has better things to do. Imported by tests only.
package ordeal

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/measured"
	"github.com/interlock-run/interlock/internal/testkit"
)

// limit bounds what takes seconds, and a while on a loaded machine.
const limit = 90 * time.Second

// patience is how long a run that has lost its payload is waited for before the fault is healed, stubborn how
// long a payload that is called stuck: longer than GlusterFS takes to give its server up.
const (
	patience = 10 * time.Second
	stubborn = 6 * time.Second
)

// A Case is one fault of one filesystem.
type Case struct {
	Filesystem, Fault string
	Mount             string        // where it is mounted
	Prepared          bool          // by the run itself, with the data directory in it
	Expect            string        // the rest of --mount: ",fstype=nfs4"
	Flags             []string      // more of the run's
	Break, Heal       func()        // Heal is called once; nil: nothing heals it
	Rescue            string        // the last lever by which the run itself frees the payload: Flags ask for that
	Free              func()        // breaks what the payload waits in, where that is not healed or healing is not enough
	Lever             string        // what Free is, for the row; default abort
	Ended             string        // what Free means to a run that goes on waiting, for the row: "the daemon is killed"
	Late              time.Duration // how long a write may take to arrive once the fault is over; default 2 s
	Arrived           func() string // what the payload's file is at the server, seen without the mount
	Findings          []string      // any of these; none: the run goes on without one
	Ignored           bool          // without a finding because of its policy
	Through           bool          // a run that goes on does so beyond the fault, and is stopped then
	FailAfter         time.Duration // default 1 s
	Note              string
}

type trial struct {
	Case
	t       *testing.T
	scene   *scene.Scene
	job     *scene.Job
	payload int // a descriptor of its process
	began   time.Time
	healed  bool
	seen    testkit.Tree // the run's processes before the fault
	row     measured.Row
}

// Run is the trial from the start of the run to its end.
func Run(t *testing.T, c Case) measured.Row {
	t.Helper()
	x := start(t, c)
	x.began = time.Now()
	x.Break()
	if len(x.Findings) == 0 {
		x.goesOn()
	} else {
		x.find()
	}
	if x.row.Policy == "kill" {
		x.dies()
	} else {
		x.lives()
	}
	x.ends()
	measured.Report(t, x.row)
	return x.row
}

// Timing leaves time to a loaded or emulated machine.
func Timing() []string {
	return []string{"--hold", "40s", "--heartbeat", "2s", "--try-timeout", "2s", "--tries", "2", "--grace", "1s", "--kill-budget", "10s"}
}

// start brings the run up as far as the payload's first write at the server.
func start(t *testing.T, c Case) *trial {
	t.Helper()
	if c.FailAfter == 0 {
		c.FailAfter = time.Second
	}
	x := &trial{Case: c, t: t, scene: scene.New(t), payload: -1,
		row: measured.Row{Filesystem: c.Filesystem, Fault: c.Fault, Note: c.Note}}
	x.scene.Data = filepath.Join(c.Mount, "data")
	x.scene.Timing = Timing()
	if c.Prepared { // nobody can have read a claim there, so that a first start would wait the hold
		scene.Interlock(t, "lock", "init", "--lock", x.scene.Lock)
	} else {
		must(t, os.MkdirAll(x.scene.Data, 0o777))
	}
	before := c.Arrived()
	x.job = x.scene.Run(t, "node", scene.Flags(append([]string{"--mount", fmt.Sprintf("%s%s,fail_after=%v", strings.ReplaceAll(c.Mount, ",", `\,`), c.Expect, c.FailAfter),
		"--probe-period", "200ms", "--probe-timeout", "2s"}, c.Flags...)...), x.scene.Payload(t, "-tick", "200ms", "-write", filepath.Join(x.scene.Data, "file"), "-write-every", "100ms"))
	t.Cleanup(x.heal) // before the run is waited for
	st := x.job.WaitPhase(t, limit, "serving")
	fd, err := unix.PidfdOpen(st.Payload.PID, 0)
	must(t, err)
	x.payload = fd
	t.Cleanup(func() { must(t, unix.Close(fd)) })
	testkit.Wait(t, limit, func() (bool, string) { return c.Arrived() != before, "nothing the payload writes arrives" })
	testkit.Wait(t, limit, seldom(func() (bool, string) {
		m, err := x.mount()
		return m.Finding == "ok", fmt.Sprintf("the first write probe has not ended well: %+v, %v", m, err)
	}))
	x.seen = testkit.Snapshot(t, x.job.Pid())
	return x
}

// find waits for the finding to be logged.
func (x *trial) find() {
	x.t.Helper()
	var found entry
	testkit.Wait(x.t, limit, seldom(func() (bool, string) {
		ended, _ := x.ended() // asked first: what it has said is all then
		for _, e := range entries(x.job.Stderr(x.t)) {
			if e.field["msg"] == "mount finding" && e.field["mount"] == x.Mount && !e.at.Before(x.began.Truncate(time.Millisecond)) && slices.Contains(x.Findings, e.field["finding"]) {
				found = e
				return true, ""
			}
		}
		if ended {
			x.t.Fatalf("the run ended without one of %v: %s", x.Findings, x.job.ReasonText())
		}
		return false, fmt.Sprintf("none of %v: %s", x.Findings, x.job.Stderr(x.t))
	}))
	x.t.Log(found.field["detail"])
	x.row.Finding, x.row.Found = found.field["finding"], measured.Seconds(max(found.at.Sub(x.began), 0))
	if m, err := x.mount(); err == nil && m.Finding == x.row.Finding {
		x.row.Policy = m.Policy
	} else { // what only alerts ends nothing
		x.job.Expect(x.t, limit, exitMountLost)
		x.row.Policy = "kill"
	}
}

// exitMountLost is the exit code of a run whose mount was lost.
const exitMountLost = 74

// mount is what the run says of the mount now.
func (x *trial) mount() (m struct{ Path, Finding, Policy string }, err error) {
	st, err := x.job.Status()
	for _, m := range st.Mounts {
		if m.Path == x.Mount {
			return m, err
		}
	}
	return m, err
}

// goesOn sees that a fault that is over soon enough is none.
func (x *trial) goesOn() {
	x.t.Helper()
	before := x.Arrived()
	testkit.Poll(patience, func() (bool, string) { return x.dead(), "" })
	x.heal()
	testkit.Wait(x.t, limit, func() (bool, string) { return x.Arrived() != before, "nothing arrives any more" })
	st := x.job.WaitPhase(x.t, limit, "serving")
	x.row.Finding = st.Mounts[0].Finding
	if x.Ignored {
		x.row.Policy = "ignore"
	}
}

// lives sees that the run goes on, and stops it.
func (x *trial) lives() {
	x.t.Helper()
	if x.Through {
		testkit.Poll(2*time.Second, func() (bool, string) { return x.dead(), "" }) // several probes
		x.heal()
		at := x.Arrived()
		testkit.Wait(x.t, limit, func() (bool, string) { return x.Arrived() != at, "nothing arrives any more" })
	}
	if x.dead() {
		x.t.Errorf("policy %s, and the payload is dead", x.row.Policy)
	}
	x.job.Signal(x.t, unix.SIGTERM)
}

// ends waits for the run's end, if it has to until the fault is over. What arrives after a record that says
// drained is a late write.
func (x *trial) ends() {
	x.t.Helper()
	if _, ended := testkit.Poll(patience, x.ended); !ended {
		x.held()
		x.release()
	}
	x.row.Code = x.job.Wait(x.t, limit)
	x.row.End = x.end()
	x.t.Log(x.job.ReasonText())
	at, window := x.Arrived(), x.late()
	x.heal()
	_, late := testkit.Poll(window, func() (bool, string) { return x.Arrived() != at, "" })
	if late && x.row.End == "drained" {
		x.t.Errorf("it arrived after the record said drained: %s, then %s", at, x.Arrived())
	}
	x.nobodyLeft()
}

// end is the phase on record; the lock must be free.
func (x *trial) end() string {
	x.t.Helper()
	var shown struct {
		Held   bool
		Record struct{ Phase string }
	}
	x.scene.ShowLock(x.t, &shown)
	if shown.Held {
		x.t.Error("the lock is held after the end of the run")
	}
	return shown.Record.Phase
}

// seldom asks again only after 100 ms.
func seldom(cond func() (bool, string)) func() (bool, string) {
	var next time.Time
	var word string
	return func() (ok bool, _ string) {
		if now := time.Now(); !now.Before(next) {
			next = now.Add(100 * time.Millisecond)
			ok, word = cond()
		}
		return ok, word
	}
}

func (x *trial) heal() {
	if !x.healed && x.Heal != nil {
		x.healed = true
		x.Heal()
	}
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + ", " + b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
