package ordeal

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/measured"
	"github.com/interlock-run/interlock/internal/testkit"
)

// dies waits for the payload's death; if that does not come, the run has to say so and to keep the lock
// until the fault is over.
func (x *trial) dies() {
	x.t.Helper()
	since := x.began
	if x.Rescue != "" {
		since = x.rescued()
	} else if x.stuck() {
		x.held()
		since = x.freed()
	}
	x.row.Dead = measured.Since(since)
}

// stuck waits for the payload's death, or for the run's word that it does not die, if that then lasts.
func (x *trial) stuck() bool {
	x.t.Helper()
	dead := false
	testkit.Wait(x.t, limit, seldom(func() (bool, string) {
		st, err := x.job.Status()
		dead = x.dead()
		return dead || err == nil && len(st.Stuck) > 0, fmt.Sprintf("neither dead nor called stuck: %+v %v", st, err)
	}))
	if !dead {
		_, dead = testkit.Poll(stubborn, func() (bool, string) { return x.dead(), "" })
	}
	return !dead
}

// rescued waits until the run has freed the payload, and gives when its last lever was pulled.
func (x *trial) rescued() (since time.Time) {
	x.t.Helper()
	testkit.Wait(x.t, limit, func() (bool, string) { return x.dead(), "the payload is still stuck" })
	lever := ""
	for _, e := range entries(x.job.Stderr(x.t)) {
		if e.field["msg"] == "freeing what is stuck: its storage is broken for that" {
			lever, _, _ = strings.Cut(e.field["lever"], " ")
			since = e.at
		}
	}
	if x.row.Freed = lever; lever != x.Rescue {
		x.t.Errorf("freed by %q, not by %q", lever, x.Rescue)
	}
	return since
}

// freed is what ends a stuck payload, and when that was begun: the fault's end, or if that is not enough,
// breaking the connection.
func (x *trial) freed() (since time.Time) {
	x.t.Helper()
	since = time.Now()
	if x.Heal != nil {
		x.heal()
		x.row.Freed = "heal"
		word, dead := testkit.Poll(patience, func() (bool, string) { return x.dead(), "the payload is still stuck" })
		switch {
		case dead:
			return since
		case x.Free == nil:
			x.t.Fatal(word)
		}
		x.held()
	}
	since = time.Now()
	x.Free()
	x.row.Freed = cmp.Or(x.Lever, "abort")
	testkit.Wait(x.t, limit, func() (bool, string) { return x.dead(), "the payload is stuck without the connection" })
	return since
}

// release lets a run end that waits for its storage.
func (x *trial) release() {
	x.t.Helper()
	if x.Heal != nil && !x.healed {
		x.heal()
		if _, ended := testkit.Poll(patience, x.ended); ended || x.Free == nil {
			x.row.Note = join(x.row.Note, "once the fault is over")
			return
		}
		x.held()
	}
	if x.Free == nil {
		return // it is over, and this machine is slow
	}
	x.Free()
	x.row.Note = join(x.row.Note, "once "+cmp.Or(x.Ended, "the connection is broken"))
}

// late is how long a write may take that arrives after the record said drained: connections that were cut
// off try again more and more seldom.
func (x *trial) late() time.Duration {
	if x.healed || x.Heal == nil {
		return 2 * time.Second
	}
	return max(x.Late, 2*time.Second)
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

// dead tells whether the last thread of the payload has ended.
func (x *trial) dead() bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(x.payload), Events: unix.POLLIN}}, 0)
	return err == nil && n > 0
}

// nobodyLeft: a probe helper may have waited in the mount until now.
func (x *trial) nobodyLeft() {
	x.t.Helper()
	_, gone := testkit.Poll(patience, func() (bool, string) { return len(x.seen.Alive()) == 0, "" })
	if !gone && x.Free != nil {
		x.Free()
	}
	x.seen.WaitGone(x.t, limit)
}
