package mountcheck

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/interlock-run/interlock/mountcheck/probe"
)

// target is one mountpoint under watch. The mount table is judged by whoever has read it, the mount is
// examined by the goroutine that owns the prober.
type target struct {
	want   Expect // Path is the mountpoint without symbolic links
	prober prober
	reads  chan readRequest
	kick   chan struct{}      // examine now
	looks  chan chan struct{} // examine now, and say when done

	mu     sync.Mutex // held for no call that can hang
	state  state
	writes writes
}

// state is what is known of a target; times are of the monotonic clock.
type state struct {
	base     Mount       // the mount that was found right first
	pinned   probe.Ident // the same as the helper saw it
	current  Mount
	table    Finding // by the mount table
	life     Finding // by the helper
	badSince time.Time
	told     Finding // the last one published
	looks    int     // how often the helper has been asked
}

// writes is the write probe of a target, if it has one.
type writes struct {
	on     bool
	dir    string
	swept  bool
	number uint32
}

func newTarget(v *env, e Expect) *target {
	t := &target{want: e, prober: prober{env: v, mount: e.Path}, reads: make(chan readRequest), kick: make(chan struct{}, 1), looks: make(chan chan struct{})}
	t.state.life = finding(e.Path, Unknown, "not looked at yet")
	return t
}

// see judges a table. The first mount found right becomes the base.
func (t *target) see(tb *table) Finding {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := tb.holder(t.want.Path)
	if now.Point == t.want.Path {
		now = tb.withUnique(now)
	}
	s := &t.state
	s.table, s.current = judge(t.want, s.base, now), now
	if s.table.Kind == OK && s.base.ID == 0 {
		s.base = now
	}
	return s.table
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
	if t.state.table.Kind != OK {
		return nil, false
	}
	x = &exam{want: t.want, ident: t.state.current.ident()}
	if t.state.pinned.ID == x.ident.ID && t.state.pinned != (probe.Ident{}) {
		subvol := x.ident.Subvol
		x.ident = t.state.pinned
		x.ident.Subvol, x.ident.Pinned = subvol, true
	}
	if w := &t.writes; w.on && !t.want.ReadOnly() {
		w.number++
		x.writes, x.dir, x.sweep, x.number = true, w.dir, !w.swept, w.number
		w.swept = true
	}
	return x, true
}

// examine looks at the mount once, by table and helper. When the helper sees another mount than the
// table, the table is read again, once.
func (t *target) examine(ctx context.Context) {
	for try := range 2 {
		tb, err := readTable()
		if err == nil {
			err = t.seeSurely(tb)
		}
		if err != nil {
			t.setLife(finding(t.want.Path, Unknown, err.Error()), time.Now())
			return
		}
		x, ok := t.exam()
		if !ok {
			return
		}
		f := t.prober.examine(ctx, x)
		if ctx.Err() != nil {
			return
		}
		if x.moved && try == 0 {
			continue
		}
		if !x.moved {
			t.pin(x)
		}
		t.setLife(f, time.Now())
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

func (t *target) setLife(f Finding, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state.life = f
	t.state.looks++
	if !f.Kind.patient() {
		t.state.badSince = time.Time{}
	} else if t.state.badSince.IsZero() {
		t.state.badSince = now
	}
}

// verdict is the finding that counts now.
func (t *target) verdict(now time.Time) Finding {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.verdictLocked(now)
}

// plain is the latest finding without patience: for a start, a bad answer counts at once.
func (t *target) plain() Finding {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state.table.Kind != OK {
		return t.state.table
	}
	f := t.state.life
	if f.Kind == OK {
		f.Detail = t.state.table.Detail
	}
	return f
}

func (t *target) verdictLocked(now time.Time) Finding {
	s := &t.state
	if s.table.Kind != OK {
		return s.table
	}
	if left := t.patienceLocked(now); left > 0 {
		f := s.life
		f.Kind, f.Detail = Unknown, fmt.Sprintf("%s: %s; counts if it lasts %s more", f.Kind, f.Detail, left.Round(time.Millisecond))
		return f
	}
	f := s.life
	if f.Kind == OK {
		f.Detail = s.table.Detail
	}
	return f
}

// patienceLocked is how long a bad answer may still last before it counts.
func (t *target) patienceLocked(now time.Time) time.Duration {
	if t.state.badSince.IsZero() || !t.state.life.Kind.patient() {
		return 0
	}
	return t.want.FailAfter - now.Sub(t.state.badSince)
}
