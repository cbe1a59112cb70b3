package mountcheck

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Watcher looks at mounts until it is closed.
type Watcher struct {
	plan   *plan
	events *events
	errors *errorEvents // nil where there are none
	queue  *queue
	cancel context.CancelFunc
	ctx    context.Context
	loops  sync.WaitGroup
	once   sync.Once
	err    error // of Close

	mu    sync.Mutex
	left  []error           // helpers that the kernel would not let go
	paths map[string]string // of files that were read, without their links
}

// Watch begins to watch. It returns when every path has been followed to its mount: at most one stage
// timeout a path. The verdicts come through Findings. The error is about the configuration or this
// process, never about a mount.
func Watch(ctx context.Context, c Config) (*Watcher, error) {
	ev, err := newEvents()
	if err != nil {
		return nil, err
	}
	v := newEnv(c)
	p, err := v.prepare(ctx)
	if err != nil {
		v.close()
		ev.close()
		return nil, err
	}
	if len(p.targets) == 0 {
		DropAhead()
	}
	w := &Watcher{plan: p, events: ev, queue: newQueue(), paths: map[string]string{}}
	w.ctx, w.cancel = context.WithCancel(ctx)
	// The mount table first: a data directory is missing because its mount is, not the other way round.
	w.judgeAll()
	for _, f := range p.fixed {
		w.queue.push(f)
	}
	w.loops.Go(func() { w.queue.run(w.ctx) })
	w.loops.Go(w.follow)
	if w.errors = hearErrors(p.targets); w.errors != nil {
		w.loops.Go(w.listen)
	}
	for _, t := range p.targets {
		w.loops.Go(func() { w.run(t) })
	}
	return w, nil
}

// Findings delivers the first verdict of every mount and then each change of kind. It is closed after
// Close, or after the context of Watch ends.
func (w *Watcher) Findings() <-chan Finding { return w.queue.out }

// State is the latest of each mount. It never blocks.
func (w *Watcher) State() []Finding {
	now := time.Now()
	out := make([]Finding, 0, len(w.plan.targets)+len(w.plan.fixed))
	for _, t := range w.plan.targets {
		out = append(out, t.verdict(now))
	}
	return append(out, w.plan.fixed...)
}

// Look examines every mount once more through the helpers that are there, and gives what they found, as
// the function Look does. A mount that has not answered when ctx ends is Hung.
func (w *Watcher) Look(ctx context.Context) []Finding {
	out := make([]Finding, len(w.plan.targets), len(w.plan.targets)+len(w.plan.fixed))
	var wait sync.WaitGroup
	for i, t := range w.plan.targets {
		wait.Go(func() { out[i] = w.lookAt(ctx, t) })
	}
	wait.Wait()
	return append(out, w.plan.fixed...)
}

func (w *Watcher) lookAt(ctx context.Context, t *target) Finding {
	done := make(chan struct{})
	select {
	case t.looks <- done:
	case <-ctx.Done():
		return finding(t.want.Path, Hung, "no answer in time")
	case <-w.ctx.Done():
		return finding(t.want.Path, Unknown, "the watch has ended")
	}
	select {
	case <-done:
		return t.plain()
	case <-ctx.Done():
		return finding(t.want.Path, Hung, "no answer in time")
	}
}

// EnableWrites begins the write probe: in stateDir on its mount, and in the root of every other mount
// whose options require rw. stateDir must exist by now.
func (w *Watcher) EnableWrites(stateDir string) {
	tb, err := readTable()
	point, rel := "", ""
	if err == nil {
		point, rel, err = tb.below(stateDir)
	}
	if err == nil && w.plan.at(point) == nil {
		err = fmt.Errorf("the state directory %s is on %s, which is not watched", stateDir, point)
	}
	if err != nil {
		// Without a write probe reads go on; that must be seen.
		w.queue.push(finding(stateDir, Unknown, fmt.Sprintf("no write probe: %v", err)))
	}
	for _, t := range w.plan.targets {
		if t.want.Path == point {
			t.enable(rel)
		} else if has(t.want.Require, "rw") {
			t.enable("")
		}
	}
}

// below splits a path into its mountpoint and the rest.
func (t *table) below(path string) (point, rel string, err error) {
	real, _, err := t.resolve(path)
	if err != nil {
		return "", "", err
	}
	point = t.holder(real).Point
	return point, relative(point, real), nil
}

// Close ends the helpers and everything else. The error names a helper in uninterruptible sleep, which is
// left to the kernel.
func (w *Watcher) Close() error {
	w.once.Do(func() {
		w.cancel()
		w.events.end()
		if w.errors != nil {
			w.errors.end()
		}
		w.loops.Wait()
		w.events.close()
		if w.errors != nil {
			w.errors.close()
		}
		w.err = errors.Join(append(w.left, w.plan.env.starter.close())...)
	})
	return w.err
}
