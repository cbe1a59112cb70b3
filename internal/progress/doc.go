// Package progress tells how far a backup, a restore or a verification has come: one line rewritten in
// place on a terminal, a line of the log now and then otherwise, or lines of JSON.
//
// Promise: what it shows is never ahead of what was done; it writes at most five times a second on a
// terminal, and each ten seconds otherwise; its last line on a terminal is wiped, so that what is written
// after it stands alone. Non-promise: the time left is a guess from the rate of the last ten seconds, and is not
// shown where the whole is not known. Called by cmd/interlock.
package progress

import (
	"io"
	"log/slog"
	"sync"
	"time"
)

// A State is how far the work has come.
type State struct {
	Stage   string // what is being done: backup, restore, verify
	Entries int64  // files and directories
	Bytes   int64  // of files, those passed over as unchanged among them
	Stored  int64  // moved to or from the store
	Total   int64  // that Bytes will be in the end, about; 0: not known
}

// A Form is how progress is shown.
type Form int

// Forms.
const (
	Log Form = iota
	Terminal
	JSON
)

// Periods of the forms.
const (
	terminalPeriod = 200 * time.Millisecond
	otherPeriod    = 10 * time.Second
)

// Options say where and how progress is shown.
type Options struct {
	Form Form
	Out  io.Writer    // of Terminal and JSON
	Log  *slog.Logger // of Log
	Read func() State // from any goroutine, at any time
	// Now and Tick are the clock; nil: the machine's. Tick gives a time each period until stop is called.
	Now  func() time.Time
	Tick func(time.Duration) (ticks <-chan time.Time, stop func())
	// Width is how many columns a terminal has; nil or 0: 80.
	Width func() int
}

// A Reporter shows progress until it is stopped.
type Reporter struct {
	o     Options
	meter *meter
	quit  chan struct{}
	done  sync.WaitGroup
	once  sync.Once
}

// Start shows progress from now on.
func Start(o Options) *Reporter {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Tick == nil {
		o.Tick = tick
	}
	r := &Reporter{o: o, meter: newMeter(o.Now()), quit: make(chan struct{})}
	period := otherPeriod
	if o.Form == Terminal {
		period = terminalPeriod
	}
	ticks, stop := o.Tick(period)
	r.done.Go(func() {
		defer stop()
		r.loop(ticks)
	})
	return r
}

// Stop ends it. On a terminal the line is wiped. Further calls do nothing.
func (r *Reporter) Stop() {
	r.once.Do(func() {
		close(r.quit)
		r.done.Wait()
		if r.o.Form == Terminal {
			_, _ = io.WriteString(r.o.Out, wipe) // who cannot be shown progress loses nothing
		}
	})
}

func (r *Reporter) loop(ticks <-chan time.Time) {
	for {
		select {
		case <-r.quit:
			return
		case <-ticks:
			r.show()
		}
	}
}

func tick(period time.Duration) (<-chan time.Time, func()) {
	t := time.NewTicker(period)
	return t.C, t.Stop
}
