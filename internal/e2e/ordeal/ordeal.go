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
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/measured"
	"github.com/interlock-run/interlock/internal/testkit"
)

// limit bounds what takes seconds, and a while on a loaded machine.
const limit = 90 * time.Second

// patience is how long a payload is waited for before the fault is healed, and a run that has lost it. The
// last step of the kill comes 4 s after the finding.
const patience = 10 * time.Second

// A Case is one fault of one filesystem.
type Case struct {
	Filesystem, Fault string
	Mount             string        // where it is mounted
	Expect            string        // the rest of --mount: ",fstype=nfs4"
	Flags             []string      // more of the run's
	Break, Heal       func()        // Heal is called once
	Arrived           func() string // what the payload's file is at the server, seen without the mount
	Findings          []string      // any of these; none: the run goes on without one
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

// start brings the run up as far as the payload's first write at the server.
func start(t *testing.T, c Case) *trial {
	t.Helper()
	if c.FailAfter == 0 {
		c.FailAfter = time.Second
	}
	x := &trial{Case: c, t: t, scene: scene.New(t), payload: -1,
		row: measured.Row{Filesystem: c.Filesystem, Fault: c.Fault, Note: c.Note}}
	x.scene.Data = filepath.Join(c.Mount, "data")
	x.scene.Timing = []string{"--hold", "15s", "--heartbeat", "1s", "--try-timeout", "1s", "--tries", "2", "--grace", "1s", "--kill-budget", "3s"}
	must(t, os.MkdirAll(x.scene.Data, 0o777))
	before := c.Arrived()
	x.job = x.scene.Run(t, "node", scene.Flags(append([]string{"--mount", fmt.Sprintf("%s%s,fail_after=%v", c.Mount, c.Expect, c.FailAfter),
		"--probe-period", "200ms", "--probe-timeout", "2s"}, c.Flags...)...), x.scene.Payload(t, "-tick", "200ms", "-write", filepath.Join(x.scene.Data, "file"), "-write-every", "100ms"))
	t.Cleanup(x.heal) // before the run is waited for
	st := x.job.WaitPhase(t, limit, "serving")
	fd, err := unix.PidfdOpen(st.Payload.PID, 0)
	must(t, err)
	x.payload = fd
	t.Cleanup(func() { must(t, unix.Close(fd)) })
	testkit.Wait(t, limit, func() (bool, string) { return c.Arrived() != before, "nothing the payload writes arrives" })
	return x
}

// find waits for the finding.
func (x *trial) find() {
	x.t.Helper()
	testkit.Wait(x.t, limit, seldom(func() (bool, string) {
		st, err := x.job.Status()
		if err != nil {
			return false, err.Error()
		}
		for _, m := range st.Mounts {
			if m.Path == x.Mount && slices.Contains(x.Findings, m.Finding) {
				x.row.Found, x.row.Finding, x.row.Policy = measured.Since(x.began), m.Finding, m.Policy
				return true, ""
			}
		}
		return false, fmt.Sprintf("none of %v: %+v", x.Findings, st.Mounts)
	}))
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
}

// dies waits for the payload's death; if that does not come, the run has to say so and to keep the lock
// until the fault is over.
func (x *trial) dies() {
	x.t.Helper()
	since := x.began
	if _, dead := testkit.Poll(patience, func() (bool, string) { return x.dead(), "" }); !dead {
		testkit.Wait(x.t, limit, seldom(func() (bool, string) {
			st, err := x.job.Status()
			return err == nil && len(st.Stuck) > 0, fmt.Sprintf("not called stuck: %+v %v", st, err)
		}))
		x.held()
		since = time.Now()
		x.heal()
		x.row.Freed = "heal"
		testkit.Wait(x.t, limit, func() (bool, string) { return x.dead(), "the payload is still stuck" })
	}
	x.row.Dead = measured.Since(since)
}

// lives sees that the run goes on, and stops it.
func (x *trial) lives() {
	x.t.Helper()
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
		x.heal()
		x.row.Note = join(x.row.Note, "once the fault is over")
	}
	x.row.Code = x.job.Wait(x.t, limit)
	x.row.End = x.scene.RecordedPhase(x.t)
	x.t.Log(x.job.ReasonText())
	at := x.Arrived()
	x.heal()
	_, late := testkit.Poll(2*time.Second, func() (bool, string) { return x.Arrived() != at, "" })
	if late && x.row.End == "drained" {
		x.t.Errorf("it arrived after the record said drained: %s, then %s", at, x.Arrived())
	}
}

func (x *trial) ended() (bool, string) {
	select {
	case <-x.job.Exited():
		return true, ""
	default:
		return false, "the run has not ended"
	}
}

// held fails unless the lock is held and renewed.
func (x *trial) held() {
	x.t.Helper()
	var lock struct {
		Held bool
		Age  float64 `json:"heartbeat_age_seconds"`
	}
	x.scene.ShowLock(x.t, &lock)
	st, err := x.job.Status()
	if over, _ := x.ended(); over {
		return // just now
	}
	if err != nil || !lock.Held || !st.Lock.Held || st.Lock.LeaseLeft <= 0 {
		x.t.Errorf("the lock is not held: %+v, %+v, %v", lock, st, err)
	}
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

// dead tells whether the last thread of the payload has ended.
func (x *trial) dead() bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(x.payload), Events: unix.POLLIN}}, 0)
	return err == nil && n > 0
}

func (x *trial) heal() {
	if !x.healed {
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
