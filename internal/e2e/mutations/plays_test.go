package mutations

import (
	"errors"
	"strings"
	"syscall"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// first is the holder a behind a proxy of its own, which can cut it off.
func (f *field) first(r role) (a *scene.Job, p *testkit.Proxy, err error) {
	if err := f.initialise(); err != nil {
		return nil, nil, err
	}
	p = testkit.NewProxy(f.t, f.addr())
	r.via = p.Addr()
	a = f.run("a", r)
	return a, p, f.serves(a)
}

// removed cuts the holder off and takes its key away: it does not hear of it, and lives until its deadline.
func (f *field) removed(p *testkit.Proxy, key string) error {
	p.Hang()
	return f.removeKey(key)
}

// next starts b and waits until n contenders are in the queue.
func (f *field) next(name string, r role, n int) (*scene.Job, []string, error) {
	j := f.run(name, r)
	keys, err := f.queued(n)
	return j, keys, err
}

// pair is the holder a, as first, and b waiting behind it.
func (f *field) pair(holder, waiter role) (a *scene.Job, p *testkit.Proxy, keys []string, err error) {
	if a, p, err = f.first(holder); err != nil {
		return nil, nil, nil, err
	}
	_, keys, err = f.next("b", waiter, 2)
	return a, p, keys, err
}

// playCut: the holder is cut off and its key removed.
func playCut(f *field) error { return f.cut(role{timing: usual()}, func() error { return nil }) }

// cut ends with something more that happens in the successor's hold-off.
func (f *field) cut(r role, then func() error) error {
	_, p, keys, err := f.pair(r, r)
	if err != nil {
		return err
	}
	return errors.Join(f.removed(p, keys[0]), then(), f.begun("b"))
}

// playCutLater: the same after a while in which the successor saw other versions of the record.
func playCutLater(f *field) error {
	r := role{timing: usual()}
	_, p, keys, err := f.pair(r, r)
	if err != nil {
		return err
	}
	pass(3 * time.Second)
	return errors.Join(f.changed(5*time.Second), f.removed(p, keys[0]), f.begun("b"))
}

// playHolds: the same where the holder's hold is three times the successor's.
func playHolds(f *field) error {
	long, short := role{timing: usual()}, role{timing: usual()}
	long.timing.hold = 6 * time.Second
	short.timing.hold, short.timing.try = 2*time.Second, 200*ms
	short.timing.kill = 500 * ms
	_, p, keys, err := f.pair(long, short)
	if err != nil {
		return err
	}
	return errors.Join(f.removed(p, keys[0]), f.begun("b"))
}

// playInit: the holder is cut off, its key removed, and somebody runs `lock init`.
func playInit(f *field) error {
	r := role{timing: usual()}
	_, p, err := f.first(r)
	if err != nil {
		return err
	}
	keys, err := f.queued(1)
	if err != nil {
		return err
	}
	if err := errors.Join(f.removed(p, keys[0]), f.initialise()); err != nil {
		return err
	}
	f.run("b", r)
	return f.begun("b")
}

// playNoRecord: the holder is cut off, the record and its key are removed.
func playNoRecord(f *field) error {
	r := role{timing: usual()}
	_, p, keys, err := f.pair(r, r)
	if err != nil {
		return err
	}
	p.Hang()
	return errors.Join(f.removeRecord(), f.removeKey(keys[0]), f.begun("b"))
}

// chain: a is cut off and its key removed, b waits in its hold-off, c queues.
func (f *field) chain() (b *scene.Job, keys []string, err error) {
	r := role{timing: usual()}
	_, p, err := f.first(r)
	if err != nil {
		return nil, nil, err
	}
	if b, _, err = f.next("b", r, 2); err != nil {
		return nil, nil, err
	}
	if _, keys, err = f.next("c", r, 3); err != nil {
		return nil, nil, err
	}
	err = f.removed(p, keys[0])
	return b, keys, errors.Join(err, f.waitRecord("of b's hold-off", func(r recorded) bool { return r.Holder == "b" && r.Phase == "waiting" }))
}

// playThird: b's key is removed in its hold-off.
func playThird(f *field) error {
	_, keys, err := f.chain()
	if err != nil {
		return err
	}
	return errors.Join(f.removeKey(keys[1]), f.begun("c"))
}

// playTerm: b is told to stop in its hold-off.
func playTerm(f *field) error {
	b, _, err := f.chain()
	if err != nil {
		return err
	}
	b.Signal(f.t, syscall.SIGTERM)
	return f.begun("c")
}

// playUnacknowledged: a takes over from a dead holder and is cut off at the end of its hold-off, before
// `running` is on record; its key is removed.
func playUnacknowledged(f *field) error {
	r := role{timing: usual()}
	if err := f.initialise(); err != nil {
		return err
	}
	z := f.run("z", r)
	if err := f.serves(z); err != nil {
		return err
	}
	p := testkit.NewProxy(f.t, f.addr())
	if _, _, err := f.next("a", role{timing: r.timing, via: p.Addr()}, 2); err != nil {
		return err
	}
	_, keys, err := f.next("c", r, 3)
	if err != nil {
		return err
	}
	if err := errors.Join(f.killBoth(z), f.removeKey(keys[0])); err != nil {
		return err
	}
	soon := func(r recorded) bool { return r.Holder == "a" && r.Phase == "waiting" && r.WaitMS <= 1500 }
	if err := f.waitRecord("of the end of a's hold-off", soon); err != nil {
		return err
	}
	err = errors.Join(f.removed(p, keys[1]), f.begun("c"))
	pass(time.Second) // a may come to its own begin a little later
	return err
}

// playLateReply: the reply to a heartbeat comes late, then the holder is cut off and its key removed.
func playLateReply(f *field) error {
	r := role{timing: patient()}
	_, p, keys, err := f.pair(r, r)
	if err != nil {
		return err
	}
	p.HoldReplies()
	if err := f.changed(5 * time.Second); err != nil {
		return err
	}
	pass(r.timing.try - 250*ms)
	p.Deafen()
	return errors.Join(f.removeKey(keys[0]), f.begun("b"))
}

// playLostReply: the reply to a heartbeat is lost with its connection; the next try finds that it had
// landed, and is the last one that gets through.
func playLostReply(f *field) error {
	r := role{timing: patient()}
	a, p, keys, err := f.pair(r, r)
	if err != nil {
		return err
	}
	p.HoldReplies()
	if err := f.changed(5 * time.Second); err != nil {
		return err
	}
	pass(r.timing.try - 250*ms)
	p.Drop()
	p.Pass(f.t)
	err = await(5*time.Second, "a's second look at its own heartbeat", func() (bool, error) {
		return strings.Contains(a.Stderr(f.t), "an earlier try of ours had landed"), nil
	})
	return errors.Join(err, f.removed(p, keys[0]), f.begun("b"))
}

// playStubborn: an ordinary stop of a payload that ignores TERM.
func playStubborn(f *field) error {
	r := role{timing: usual(), flags: []string{"--stop-grace", "2s"}, payload: []string{"-ignore-term"}}
	a, _, err := f.first(r)
	if err != nil {
		return err
	}
	if _, _, err := f.next("b", role{timing: r.timing}, 2); err != nil {
		return err
	}
	a.Signal(f.t, syscall.SIGTERM)
	return f.begun("b")
}

// playEpoch: the next contender has a smaller token than the last holder.
func playEpoch(f *field) error {
	r := role{timing: usual()}
	a, _, err := f.first(role{timing: r.timing, flags: []string{"--token-epoch", "1"}})
	if err != nil {
		return err
	}
	a.Stop(f.t)
	b := f.run("b", r)
	return await(20*time.Second, "b's begin or end", func() (bool, error) {
		n, err := f.lines("b")
		return n > 0 || ended(b), err
	})
}

// playAgentStopped: the holder's agent is stopped, and its key removed.
func playAgentStopped(f *field) error { return f.agentStopped(role{timing: usual()}) }

func (f *field) agentStopped(r role) error {
	a, _, keys, err := f.pair(r, r)
	if err != nil {
		return err
	}
	if err := syscall.Kill(a.Agent(f.t), syscall.SIGSTOP); err != nil {
		return err
	}
	return errors.Join(f.removeKey(keys[0]), f.begun("b"))
}

// playGuardStopped: the holder's guard is stopped, then the holder is cut off and its key removed.
func playGuardStopped(f *field) error {
	r := role{timing: usual()}
	r.timing.kill, r.timing.margin = time.Second, 250*ms
	a, p, keys, err := f.pair(r, r)
	if err != nil {
		return err
	}
	a.Signal(f.t, syscall.SIGSTOP)
	return errors.Join(f.removed(p, keys[0]), f.begun("b"))
}

// playQuiet: nothing happens, for longer than a thread of a pool lives.
func playQuiet(f *field) error {
	r := role{timing: usual()}
	a, _, err := f.first(r)
	if err != nil {
		return err
	}
	err = await(20*time.Second, "a's long life, or its end", func() (bool, error) {
		n, err := f.lines("a")
		return n >= 250 || ended(a), err
	})
	if err != nil {
		return err
	}
	if !ended(a) {
		a.Stop(f.t)
		return nil
	}
	if code := a.Wait(f.t, limit); code == lost { // a fault after all: the machine was too busy
		return errors.New("a lost its lease: " + a.ReasonText())
	}
	return nil
}

// lost is interlock's exit code after a lease was lost.
const lost = 76

// heldBack is the lane in which b has read the record after its grant, and its first write is on its way
// and will be until the proxy passes.
func heldBack(b *scene.Job, p *testkit.Proxy) error {
	err := phase(b, "holding-off")
	p.Hang()
	return err
}

// slow is the delay of each direction: b's first write leaves when its status says holding-off.
const slow = 150 * ms

// farewell waits until the holder has written once more, or has ended, then lets it go on for a while,
// cuts it off, does what is to be done then, and lets b's write arrive.
func (f *field) farewell(a *scene.Job, cut, lane *testkit.Proxy, more time.Duration, then func() error) error {
	before, err := f.record()
	if err != nil {
		return err
	}
	err = await(3*time.Second, "a's heartbeat or end", func() (bool, error) {
		now, err := f.record()
		return now != before || ended(a), err
	})
	if err != nil {
		return err
	}
	if !ended(a) {
		pass(more)
	}
	cut.Hang()
	err = then()
	lane.Pass(f.t)
	return errors.Join(err, f.begun("b"))
}

// playUnconditional: the holder's key is removed; the successor reads the record, and is held back before
// its first write; the record is removed.
func playUnconditional(f *field) error {
	r := role{timing: patient()}
	r.timing.hold = 5 * time.Second
	a, cut, err := f.first(r)
	if err != nil {
		return err
	}
	lane := testkit.NewProxy(f.t, f.addr())
	b, keys, err := f.next("b", role{timing: r.timing, via: lane.Addr()}, 2)
	if err != nil {
		return err
	}
	lane.Delay(slow)
	if err := errors.Join(f.removeKey(keys[0]), heldBack(b, lane)); err != nil {
		return err
	}
	return f.farewell(a, cut, lane, 1800*ms, f.removeRecord)
}

// playExpired: as before, but the holder's key goes with its session, which the server ends early.
func playExpired(f *field) error {
	r := role{timing: patient()}
	r.timing.hold = 8 * time.Second // the session lasts for 3 s
	a, cut, err := f.first(r)
	if err != nil {
		return err
	}
	lane := testkit.NewProxy(f.t, f.addr())
	b, _, err := f.next("b", role{timing: r.timing, via: lane.Addr()}, 2)
	if err != nil {
		return err
	}
	cut.Hang()
	lane.Delay(slow)
	err = heldBack(b, lane)
	cut.Drop()
	cut.Pass(f.t)
	return errors.Join(err, f.farewell(a, cut, lane, 0, f.removeRecord))
}

// playContest: the holder's key is removed; the successor is held back in its hold-off, while the holder
// is not.
func playContest(f *field) error {
	r := role{timing: usual()}
	a, cut, err := f.first(r)
	if err != nil {
		return err
	}
	lane := testkit.NewProxy(f.t, f.addr())
	_, keys, err := f.next("b", role{timing: r.timing, via: lane.Addr()}, 2)
	if err != nil {
		return err
	}
	waiting := func(r recorded) bool { return r.Holder == "b" && r.Phase == "waiting" }
	err = errors.Join(f.removeKey(keys[0]), f.waitRecord("of b's hold-off", waiting))
	lane.Hang()
	return errors.Join(err, f.farewell(a, cut, lane, 1500*ms, func() error { return nil }))
}
