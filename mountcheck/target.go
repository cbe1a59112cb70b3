package mountcheck

import (
	"context"
	"sync"
	"time"

	"github.com/interlock-run/interlock/mountcheck/probe"
)

// target is one mountpoint under watch. The mount table is judged by whoever has read it, the mount is
// examined by the goroutine that owns the prober.
type target struct {
	want   Expect // Path is the mountpoint without symbolic links
	data   string // the data directory below it, if it is on this mount and not its root
	prober prober
	reads  chan readRequest
	kick   chan struct{}      // examine now
	looks  chan chan struct{} // examine now, and say when done
	turn   chan struct{}      // of following a file

	mu     sync.Mutex // held for no call that can hang
	state  state
	mark   mark // of the mount as it was found right; empty where that cannot be told
	writes writes
	follow *follower // the file that is followed
}

// state is what is known of a target; times are of the monotonic clock.
type state struct {
	base     Mount       // the mount that was found right first
	pinned   probe.Ident // the same as the helper saw it
	current  Mount
	table    Finding // by the mount table
	life     Finding // by the helper
	badSince time.Time
	past     Finding   // what counted, until answers have been good for long enough
	goodFrom time.Time // since when they are
	pace     pace
	took     time.Duration // of the last probe
	told     Finding       // the last one published
	looks    int           // how often the helper has been asked
}

// writes is the write probe of a target, if it has one.
type writes struct {
	on     bool
	dir    string
	swept  bool
	number uint32
}

func newTarget(v *env, e Expect) *target {
	t := &target{want: e, prober: prober{env: v, mount: e.Path}, reads: make(chan readRequest), kick: make(chan struct{}, 1), looks: make(chan chan struct{}), turn: make(chan struct{}, 1)}
	t.state.life = finding(e.Path, Unknown, "not looked at yet")
	return t
}

// judgeNow judges by the mount table, unless the kernel says that nothing has changed since that last found
// the mount right. What is true at the mark and is not any more at the table shows at the next mark.
func (t *target) judgeNow() error {
	now := takeMark(t.want.Path)
	if t.unchanged(now) {
		return nil
	}
	return t.judgeBy(now, readTable)
}

// judgeBy takes the kernel's word for this one mount where it is complete, else the whole table's.
func (t *target) judgeBy(m mark, read func() (*table, error)) error {
	defer t.note(m)
	if now, ok := m.mount(); ok {
		t.seeMount(now)
		return nil
	}
	tb, err := read()
	if err != nil {
		return err
	}
	if f := t.see(tb); f.Kind == OK || t.confirms(m, f.Kind) {
		return nil
	}
	return t.seeSurely(tb)
}

// see judges a table. The first mount found right becomes the base.
func (t *target) see(tb *table) Finding {
	now := tb.holder(t.want.Path)
	if now.Point == t.want.Path {
		now = tb.withUnique(now)
	}
	return t.seeMount(now)
}

// seeMount judges what is at the path now.
func (t *target) seeMount(now Mount) Finding {
	now.hidden = kernel("/").hidden(now)
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &t.state
	s.table, s.current = judge(t.want, s.base, now), now
	if s.base.ID == 0 && !t.blockedLocked() {
		s.base = now
	}
	return s.table
}

// blockedLocked tells whether the mount must not be touched: it is not there, is another one, or is of no use.
func (t *target) blockedLocked() bool {
	f := t.want.rule(t.state.table)
	return f.Fatal() || t.state.table.Kind == Absent || t.state.table.Kind == Replaced
}

// seeSurely reads the table anew until two readings agree, when the first says bad: on older kernels a
// reading that meets a change can miss a mount that is there.
func (t *target) seeSurely(tb *table) error {
	last := t.see(tb)
	for range 4 {
		if last.Kind == OK {
			return nil
		}
		tb, err := readTable()
		if err != nil {
			return err
		}
		again := t.see(tb)
		if again.Kind == last.Kind {
			return nil
		}
		last = again
	}
	return nil
}

// exam prepares a round of questions; ok is false when the table has found the mount wrong: it is not
// touched then.
func (t *target) exam() (x *exam, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.blockedLocked() {
		return nil, false
	}
	x = &exam{want: t.want, ident: t.state.current.ident(), source: t.state.current.Source, fstype: t.state.current.FSType, data: t.data}
	if t.state.pinned.ID == x.ident.ID && t.state.pinned != (probe.Ident{}) {
		subvol := x.ident.Subvol
		x.ident = t.state.pinned
		x.ident.Subvol, x.ident.Pinned = subvol, true
	}
	return x, true
}

// more adds what a probe does beside looking: it reads the file that is followed, and writes.
func (t *target) more(x *exam, f *follower) {
	if f != nil {
		step := f.step()
		x.follow = &step
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if w := &t.writes; w.on && !t.want.ReadOnly() {
		w.number++
		x.write = &probe.Step{Op: probe.OpWrite, Rel: w.dir, Option: !w.swept, Limit: w.number, Text: probe.Prefix + t.prober.env.nonce}
		w.swept = true
	}
}

// examine looks at the mount once, by table and helper. When the helper sees another mount than the
// table, the table is read again, once.
func (t *target) examine(ctx context.Context) {
	follower := t.followed()
	for try := range 2 {
		if err := t.judgeNow(); err != nil {
			f := finding(t.want.Path, Unknown, err.Error())
			t.setLife(f, time.Now())
			t.tell(follower, nil, f)
			return
		}
		x, ok := t.exam()
		if !ok {
			t.tell(follower, nil, t.verdict(time.Now()))
			return
		}
		t.more(x, follower)
		began := time.Now()
		f := t.prober.examine(ctx, x)
		took := time.Since(began)
		if ctx.Err() != nil {
			return
		}
		if x.moved && try == 0 {
			continue
		}
		if !x.moved {
			t.pin(x)
		}
		t.setLife(t.paced(f, took), time.Now())
		t.tell(follower, x, f)
		return
	}
}

// pin keeps what the helper saw of the base: its device and its unique id.
func (t *target) pin(x *exam) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &t.state
	if s.pinned == (probe.Ident{}) && x.got != (probe.Ident{}) && s.base.ID == s.current.ID {
		s.pinned = x.got
		s.base.Unique = x.got.Unique
	}
}
