package mountcheck

import (
	"runtime"
	"sync"
	"time"
)

// follow judges every target anew whenever the mount table changes.
func (w *Watcher) follow() {
	for {
		changed, err := w.events.next()
		if err != nil {
			w.plan.env.cfg.Log("%v; changes are seen by the probes alone", err)
			return
		}
		if !changed {
			return
		}
		w.judgeAll()
		// What was found is delivered by this thread before it waits again: to wake another one costs, on a busy
		// machine, as much as the event itself.
		runtime.Gosched()
	}
}

// judgeAll reads the table once for all targets, and not at all if none has changed: on a host with many
// containers most changes are not ours.
func (w *Watcher) judgeAll() {
	marks := make([]mark, len(w.plan.targets))
	var changed []int
	for i, t := range w.plan.targets {
		if marks[i] = takeMark(t.want.Path); !t.unchanged(marks[i]) {
			changed = append(changed, i)
		}
	}
	if len(changed) == 0 {
		return
	}
	read := sync.OnceValues(readTable)
	for _, i := range changed {
		t := w.plan.targets[i]
		if err := t.judgeBy(marks[i], read); err != nil {
			// The probes go on, and read the table again.
			w.plan.env.cfg.Log("%v", err)
			return
		}
		w.publish(t)
	}
}

// run examines one target now, then on its period, when kicked, and when its patience ends.
func (w *Watcher) run(t *target) {
	defer w.leave(t)
	tick := time.NewTicker(w.plan.env.cfg.Period)
	defer tick.Stop()
	patience := time.NewTimer(time.Hour)
	defer patience.Stop()
	t.examine(w.ctx)
	for heeded := false; ; {
		heeded = heeded || w.errors.heed(t)
		if left := w.publish(t); left > 0 {
			patience.Reset(left)
		}
		select {
		case <-w.ctx.Done():
			return
		case r := <-t.reads:
			r.reply <- t.read(w.ctx, r)
		case done := <-t.looks:
			t.examine(w.ctx)
			close(done)
		case <-patience.C:
		case <-tick.C:
			t.examine(w.ctx)
		case <-t.kick:
			t.examine(w.ctx)
		}
	}
}

// publish sends the verdict if its kind has changed, and returns how long a bad answer may still last.
func (w *Watcher) publish(t *target) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	f := t.verdictLocked(now)
	unseen := t.state.looks == 0 && t.state.table.Kind == OK // no verdict yet
	if f.Kind != t.state.told.Kind && !unseen {
		t.state.told = f
		w.queue.push(f)
	}
	return t.patienceLocked(now)
}

func (w *Watcher) leave(t *target) {
	if err := t.prober.end(); err != nil {
		w.mu.Lock()
		w.left = append(w.left, err)
		w.mu.Unlock()
	}
}

// enable turns the write probe on and asks for one at once.
func (t *target) enable(dir string) {
	t.mu.Lock()
	t.writes.on, t.writes.dir = true, dir
	t.mu.Unlock()
	t.kicked()
}
