package mutations

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
)

// clocks are how those of contenders go, by their names, in the words of internal/clock; "@jump" stands
// for the file that f.jump makes. What is not named goes as the kernel's.
type clocks map[string]string

// clockVariable is internal/clock's, which has it in a broken build alone.
const clockVariable = "BENT_CLOCK"

// apart is the widest that A2 and a CLOCK_BOOTTIME slewed by a tenth allow: the holder's clocks are slow,
// the successor's fast.
const apart = "CLOCK_BOOTTIME slow by a tenth here, fast by a tenth there, CLOCK_MONOTONIC_RAW by rho"

func slowAndFast() clocks { return clocks{"a": "boot*0.9,raw*0.998", "b": "boot*1.1,raw*1.002"} }
func fastAndSlow() clocks { return clocks{"a": "boot*1.1,raw*1.002", "b": "boot*0.9,raw*0.998"} }

// slewed is long enough for a tenth of it to be more than what a kill and a start take.
func slewed() timing {
	return timing{hold: 14 * time.Second, try: 400 * ms, tries: 3, kill: 400 * ms, margin: 100 * ms}
}

func (f *field) jumpFile(name string) string { return filepath.Join(f.scene.Dir, "jump-"+name) }

// clock is a contender's variable.
func (f *field) clock(name string) string {
	return clockVariable + "=" + strings.ReplaceAll(f.clocks[name], "@jump", "@"+f.jumpFile(name))
}

// jump moves the clocks of a contender's machine as they are to.
func (f *field) jump(name string) error { return os.WriteFile(f.jumpFile(name), []byte("j"), 0o644) }

// inHoldOff waits until a contender has read what it owes, and has said so.
func (f *field) inHoldOff(name string) error {
	return f.waitRecord("of "+name+"'s hold-off", func(r recorded) bool { return r.Holder == name && r.Phase == "waiting" })
}

// playCutJump: the holder is cut off, its key removed; in the hold-off of b the clocks of one jump.
func playCutJump(who string) func(*field) error {
	return func(f *field) error {
		return f.cut(role{timing: usual()}, func() error { return errors.Join(f.inHoldOff("b"), f.jump(who)) })
	}
}

func playSlewedCut(f *field) error {
	return f.cut(role{timing: slewed()}, func() error { return nil })
}

func playSlewedStop(f *field) error { return f.agentStopped(role{timing: slewed()}) }

// playServingJump: the holder's clocks jump while it serves.
func playServingJump(f *field) error {
	a, _, err := f.first(role{timing: usual()})
	if err != nil {
		return err
	}
	if _, _, err := f.next("b", role{timing: usual()}, 2); err != nil {
		return err
	}
	if err := errors.Join(f.jump("a"), f.begun("b")); err != nil {
		return err
	}
	const killed = 128 + 9 // the agent saw the jump first, and ended a guard that should have acted by then
	if code := a.Wait(f.t, limit); code != lost && code != killed {
		return fmt.Errorf("a ended with %d: %s", code, a.ReasonText())
	}
	return nil
}

// playStoppedJump: the same with the holder's agent stopped and its key removed: its guard sees it alone.
func playStoppedJump(f *field) error {
	a, _, err := f.first(role{timing: usual()})
	if err != nil {
		return err
	}
	_, keys, err := f.next("b", role{timing: usual()}, 2)
	if err != nil {
		return err
	}
	return errors.Join(syscall.Kill(a.Agent(f.t), syscall.SIGSTOP), f.removeKey(keys[0]), f.jump("a"), f.begun("b"))
}

// playQueueJump: the successor's clocks jump between the last heartbeat that it saw and its grant.
func playQueueJump(f *field) error {
	_, p, err := f.first(role{timing: usual()})
	if err != nil {
		return err
	}
	_, keys, err := f.next("b", role{timing: usual()}, 2)
	if err != nil {
		return err
	}
	pass(time.Second) // b has seen heartbeats
	p.Hang()
	return errors.Join(f.jump("b"), f.removeKey(keys[0]), f.begun("b"))
}

// playHoldOffBack: CLOCK_BOOTTIME of the successor goes back in its hold-off: it has an hour more to wait.
func playHoldOffBack(f *field) error {
	r := role{timing: usual()}
	_, p, err := f.first(r)
	if err != nil {
		return err
	}
	b, keys, err := f.next("b", r, 2)
	if err != nil {
		return err
	}
	if err := errors.Join(f.removed(p, keys[0]), f.inHoldOff("b"), f.jump("b")); err != nil {
		return err
	}
	pass(r.timing.hold + 2*time.Second)
	if ended(b) {
		return errors.New("b ended: " + b.ReasonText())
	}
	n, err := f.lines("b")
	if n > 0 {
		f.t.Errorf("b began, an hour too early by the smaller of its clocks")
	}
	return err
}

// playWaitingHolderJump: a waits in its hold-off for a dead holder when its clocks jump, c queues behind it;
// it takes over in time all the same, and is cut off.
func playWaitingHolderJump(f *field) error {
	r := role{timing: usual()}
	if err := f.initialise(); err != nil {
		return err
	}
	z := f.run("z", r)
	if err := f.serves(z); err != nil {
		return err
	}
	p := testkit.NewProxy(f.t, f.addr())
	a, _, err := f.next("a", role{timing: r.timing, via: p.Addr()}, 2)
	if err != nil {
		return err
	}
	_, keys, err := f.next("c", r, 3)
	if err != nil {
		return err
	}
	if err := errors.Join(f.killBoth(z), f.removeKey(keys[0]), f.inHoldOff("a"), f.jump("a"), f.serves(a)); err != nil {
		return err
	}
	return errors.Join(f.removed(p, keys[1]), f.begun("c"))
}

// bents are courses of events that no rule on time may break in: of all of them the judge finds nothing.
func bents() map[string]scenario {
	return map[string]scenario{
		"rates by rho, cut off":                {on: "zk", tenures: 2, play: playCut, clocks: clocks{"a": "boot*0.998,raw*0.998", "b": "boot*1.002,raw*1.002"}},
		"rates by rho, agent stopped":          {on: "etcd", tenures: 2, play: playAgentStopped, clocks: clocks{"a": "boot*0.998,raw*0.998", "b": "boot*1.002,raw*1.002"}},
		"holder fast, cut off":                 {on: "etcd", tenures: 2, play: playCut, clocks: fastAndSlow()},
		"holder fast, agent stopped":           {on: "zk", tenures: 2, play: playAgentStopped, clocks: fastAndSlow()},
		"both clocks of the holder forward":    {on: "etcd", tenures: 2, play: playServingJump, clocks: clocks{"a": "boot+1h@jump,raw+1h@jump"}},
		"boottime of the holder forward":       {on: "zk", tenures: 2, play: playServingJump, clocks: clocks{"a": "boot+1h@jump"}},
		"boottime of the holder back":          {on: "etcd", tenures: 2, play: playServingJump, clocks: clocks{"a": "boot-1h@jump"}},
		"agent stopped, boottime forward":      {on: "etcd", tenures: 2, play: playStoppedJump, clocks: clocks{"a": "boot+1h@jump"}},
		"agent stopped, boottime back":         {on: "etcd", tenures: 2, play: playStoppedJump, clocks: clocks{"a": "boot-1h@jump"}},
		"successor in the queue forward":       {on: "etcd", tenures: 2, play: playQueueJump, clocks: clocks{"b": "boot+1h@jump"}},
		"successor in its hold-off back":       {on: "etcd", tenures: 1, play: playHoldOffBack, clocks: clocks{"b": "boot-1h@jump"}},
		"holder to be in its hold-off forward": {on: "zk", tenures: 3, play: playWaitingHolderJump, clocks: clocks{"a": "boot+1h@jump"}},
	}
}

// TestBentClocks: rates and jumps of one machine's clocks, in the sharpest courses of events.
func TestBentClocks(t *testing.T) {
	for name, s := range bents() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.green(t, "")
		})
	}
}
