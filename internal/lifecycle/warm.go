package lifecycle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/interlock-run/interlock/internal/courier"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/warm/job"
)

// WarmPlan is how the payload, a cache most often, is filled before it is ready.
type WarmPlan struct {
	Load  bool          // from the store's dumps
	Exec  []string      // then by this command
	Limit time.Duration // of either
	Ready float64       // part of the load at which the service is ready; 0: at once
	Stop  bool          // a service that stays cold ends the run
}

func (p WarmPlan) wanted() bool { return p.Load || len(p.Exec) > 0 }

// warming is the load under way. It outlives the phase of that name where the service is ready before its end.
type warming struct {
	id     uint32 // of its process; 0: none
	cancel context.CancelFunc
	began  time.Time
	again  int   // how often a load has been gone on with
	failed error // why the load has warmed nothing, where the command follows nonetheless
}

// warm fills the service that has just been started. The phase ends when enough is loaded; what is not loaded
// by the end, for whatever reason, is the policy's to judge.
func (r *Runner) warm() {
	if !r.plan.Warm.wanted() {
		r.handle(message{event: Done})
		return
	}
	if r.plan.State != "" {
		r.beside(r.watchClaim)
	}
	r.domain.warming.began = time.Now()
	if !r.plan.Warm.Load {
		r.warmExec()
		return
	}
	r.seen.warms()
	r.load(r.plan.Warm.Limit)
}

func (r *Runner) load(limit time.Duration) {
	e := r.send(courier.OpWarm, limit, r.hearWarm)
	r.warmBeside(e.id, func(ctx context.Context) func() {
		a, err := e.wait(ctx)
		return func() { r.loaded(a, err) }
	})
}

// Goings-on of a load whose process was killed, most likely for lack of memory, or that could not reach the server
// or the store: it leaves in a file how far it was.
const (
	loadTries  = 3
	loadsLeast = 5 * time.Second // with less time left it is not worth it
)

// loadAgain goes on with a load that something from outside has ended, within the time of the first.
func (r *Runner) loadAgain(err error) bool {
	w := &r.domain.warming
	f, said := errors.AsType[*courier.Failure](err)
	left := r.plan.Warm.Limit - time.Since(w.began)
	if said && f.Code != exit.Unreachable || errors.Is(err, errUndead) || errors.Is(err, errRefused) || left < loadsLeast || w.again >= loadTries {
		return false
	}
	w.again++
	r.log.Warn("the load was interrupted: it is gone on with", "cause", err, "try", w.again, "left", left.Round(time.Second).String())
	r.load(left)
	return true
}

// warmBeside waits for a process that the end of the phase does not end: endWarm does.
func (r *Runner) warmBeside(id uint32, wait func(context.Context) (then func())) {
	ctx, cancel := context.WithCancel(context.Background())
	r.domain.warming.id, r.domain.warming.cancel = id, cancel
	r.besideAlways(func(context.Context) message {
		then := wait(ctx)
		return message{then: func() {
			if ctx.Err() == nil { // else endWarm has told of it
				r.rested()
				then()
			}
		}}
	})
	if r.plan.Warm.Ready == 0 {
		r.soon(message{event: Done, reason: ""})
	}
}

// rested forgets the process that has ended.
func (r *Runner) rested() {
	if r.domain.warming.cancel != nil {
		r.domain.warming.cancel()
	}
	r.domain.warming.id, r.domain.warming.cancel = 0, nil
}

// hearWarm is told of each line beside the loop.
func (r *Runner) hearWarm(l courier.Line) {
	if l.Progress == nil {
		return
	}
	r.seen.warmer(*l.Progress)
	part, enough := l.Progress.Fraction, r.plan.Warm.Ready
	if enough < 1 && part >= enough {
		r.post(message{then: func() { r.warmEnough(fmt.Sprintf("%.0f %% are loaded, the rest follows", part*100)) }})
	}
}

// warmEnough ends the phase, if it has not ended yet.
func (r *Runner) warmEnough(why string) {
	if r.phase == Warming {
		r.handle(message{event: Done})
		r.debug("ready", "why", why)
	}
}

// loaded is the end of a load: what it did is told, and the command follows.
func (r *Runner) loaded(a courier.Answer, err error) {
	if err != nil && r.loadAgain(err) {
		return
	}
	took := time.Since(r.domain.warming.began)
	r.seen.warmed(a.Cache, err, took)
	if err != nil {
		r.log.Error("warming failed: the service stays cold", "cause", err, "loaded", loadedItems(a.Cache), "seconds", took.Seconds())
		if len(r.plan.Warm.Exec) > 0 && !r.plan.Warm.Stop { // what the dump has not warmed the command may
			r.domain.warming.failed = err
			r.warmExec()
			return
		}
		r.cold(errandCode(err, exit.Restore), fmt.Sprintf("warming: %v", err))
		return
	}
	c := a.Cache
	if c == nil {
		c = &job.Loaded{}
	}
	r.log.Info("warmed", "dumps", fmt.Sprint(c.Dumps), "loaded", c.Loaded, "resumed", c.Resumed, "held", c.Held, "not_ours", c.NotOurs, "expired", c.Expired,
		"there_already", c.Exists+c.Kept, "stopped", c.Stopped, "seconds", took.Seconds())
	r.warmExec()
}

func loadedItems(c *job.Loaded) int64 {
	if c == nil {
		return 0
	}
	return c.Loaded
}

// warmExec runs the command, if there is one; it is the last thing.
func (r *Runner) warmExec() {
	argv := r.plan.Warm.Exec
	if len(argv) == 0 {
		r.warmEnough("all is loaded")
		return
	}
	r.seen.warms()
	id, wait := r.commandID(argv, r.plan.Warm.Limit)
	r.warmBeside(id, func(ctx context.Context) func() {
		err := wait(ctx)
		return func() {
			if err != nil {
				err = fmt.Errorf("warm.exec %s: %w", argv[0], err)
			}
			r.seen.warmed(nil, cmp.Or(err, r.domain.warming.failed), time.Since(r.domain.warming.began))
			if err != nil {
				r.log.Error("warming failed", "cause", err)
				r.cold(startCode(err, exit.Restore), err.Error())
				return
			}
			r.log.Info("warmed", "command", argv[0], "seconds", time.Since(r.domain.warming.began).Seconds())
			r.warmEnough("the command has ended")
		}
	})
}

// cold is what the policy says of a service that was not warmed.
func (r *Runner) cold(code int, reason string) {
	if r.phase != Warming { // it is ready already
		return
	}
	if r.plan.Warm.Stop {
		r.handle(message{event: Failed, code: code, reason: reason})
		return
	}
	r.handle(message{event: Done})
}

// endWarm kills a load that is under way when the run ends: nobody waits for it, and what it has stored is gone
// with the service, or right.
func (r *Runner) endWarm() {
	w := &r.domain.warming
	if w.cancel == nil {
		return
	}
	if w.id == 0 { // it could not be started, which is heard next
		r.rested()
		return
	}
	if err := r.guard.KillOne(w.id); err != nil {
		r.log.Debug("the load could not be killed by itself; it dies with the rest", "cause", err)
	}
	r.rested()
	r.seen.warmCut()
	r.log.Warn("a load was under way: it is killed")
}

// WarmStatus is the warming's part of /status; nil where nothing is warmed.
type WarmStatus struct {
	Result   string      `json:"result"` // loading, warm, cold, cut
	Fraction float64     `json:"fraction"`
	Seconds  float64     `json:"seconds,omitempty"`
	Failure  string      `json:"failure,omitempty"`
	Load     *job.Loaded `json:"load,omitempty"`
}

// Results of warming.
const (
	warmLoading = "loading"
	warmDone    = "warm"
	warmCold    = "cold" // it failed, or there was nothing to load
	warmCut     = "cut"  // killed by a stop or a loss
)

// WarmResults lists them, for metrics.
func WarmResults() []string { return []string{warmLoading, warmDone, warmCold, warmCut} }

func (s *shared) changeWarm(f func(*WarmStatus)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var w WarmStatus
	if s.warming != nil {
		w = *s.warming
	}
	f(&w)
	s.warming = &w // never changed again: the picture shares it
}

func (s *shared) warms() { s.changeWarm(func(w *WarmStatus) { w.Result = warmLoading }) }

func (s *shared) warmer(p courier.Progress) {
	s.changeWarm(func(w *WarmStatus) { w.Fraction = p.Fraction })
}

func (s *shared) warmed(c *job.Loaded, err error, took time.Duration) {
	s.changeWarm(func(w *WarmStatus) {
		w.Seconds = took.Seconds()
		if c != nil {
			w.Load = c
		}
		if err != nil {
			w.Result, w.Failure = warmCold, err.Error()
			return
		}
		w.Result, w.Fraction, w.Failure = warmDone, 1, ""
	})
}

func (s *shared) warmCut() {
	s.changeWarm(func(w *WarmStatus) { w.Result = warmCut })
}
