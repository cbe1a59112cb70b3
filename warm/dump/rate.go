package dump

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/interlock-run/interlock/warm/memcached"
	"github.com/interlock-run/interlock/warm/pace"
)

const (
	probeEvery    = 5 * time.Millisecond
	probeWindow   = 100  // round trips, half a second of them
	slowestRate   = 1000 // items a second: below that a dump hurts nobody, and would never end
	smallestBatch = 16
	largestBatch  = 256
	doubt         = 4 // slow windows after which a sixteenth of the work must have shown
)

// governor sets a rate that yields to the latency of an idle connection.
type governor struct {
	pace    *pace.Pace
	mu      sync.Mutex
	top     float64 // items a second; 0: no limit
	rate    float64
	slowest float64
	base    Quantiles
	bar     time.Duration   // the 99th percentile that is compared with: base's, or more where others are to blame
	slow    int             // windows in a row
	worst   time.Duration   // of them since it was last asked who is to blame
	during  []time.Duration // of the whole dump, thinned out
	every   int             // one of so many goes into during
	seen    int
}

func newGovernor(rate int) *governor {
	p := &governor{every: 1, pace: pace.New(float64(rate))}
	if rate > 0 {
		p.top, p.rate, p.slowest = float64(rate), float64(rate), float64(rate)
	}
	return p
}

// batch is how many items are asked for at once: half a millisecond's at the highest rate, within bounds.
func (p *governor) batch() int {
	if p.top == 0 {
		return largestBatch
	}
	return int(min(max(p.top/2000, smallestBatch), largestBatch))
}

// calm measures before anything is read.
func (p *governor) calm(ctx context.Context, c *memcached.Conn) error {
	samples, err := pings(ctx, c, probeWindow)
	if err == nil {
		p.base = quantiles(samples)
		p.bar = p.base.P99
	}
	return err
}

// watch measures while items are read, and changes the rate. A probe that is lost counts as a slow one, and is
// made again. It ends with ctx, which is no error, or when dial fails for long.
func (p *governor) watch(ctx context.Context, c *memcached.Conn, dial func(context.Context) (*memcached.Conn, error)) error {
	failed := 0
	for ctx.Err() == nil {
		samples, err := pings(ctx, c, probeWindow)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			p.judge(samples)
			failed = 0
			continue
		}
		p.judge([]time.Duration{time.Hour})
		if failed++; failed > reconnects {
			return fmt.Errorf("latency probe: %w", err)
		}
		if pause(ctx, askAgain) != nil {
			return nil
		}
		if next, err := dial(ctx); err == nil {
			defer next.Close() // a few at most
			c = next
		}
	}
	return nil
}

// judge halves the rate when the latency is much above what it was, and goes back up in small steps.
func (p *governor) judge(samples []time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if samples[0] < time.Hour {
		p.keep(samples)
	}
	if p.top == 0 {
		return
	}
	if p99 := quantiles(samples).P99; p99 > p.bar*3/2+200*time.Microsecond {
		p.rate = max(p.rate/2, min(slowestRate, p.top))
		p.blame(p99)
	} else {
		p.rate = min(p.rate*1.1, p.top)
		p.slow, p.bar = 0, max(p.base.P99, min(p.bar, (7*p.bar+p99)/8))
	}
	p.slowest = min(p.slowest, p.rate)
	p.pace.Set(p.rate)
}

// blame finds out whether it is us who are slow to others. Where a sixteenth of our work does not halve the
// latency, it is that of a machine which others have made busy, and is what we are measured by from then on.
func (p *governor) blame(p99 time.Duration) {
	if p.slow++; p.slow == 1 {
		p.worst = 0
	}
	p.worst = max(p.worst, p99)
	if p.slow%doubt == 0 {
		if p99 < time.Hour && p99 >= p.worst/2 {
			p.bar = p99
		}
		p.worst = p99
	}
}

// keep holds at most a few thousand samples, of the whole time evenly.
func (p *governor) keep(samples []time.Duration) {
	for _, s := range samples {
		if p.seen++; p.seen%p.every == 0 {
			p.during = append(p.during, s)
		}
	}
	if len(p.during) > 8000 {
		half := p.during[:0]
		for n := 0; n < len(p.during); n += 2 {
			half = append(half, p.during[n])
		}
		p.during, p.every = half, p.every*2
	}
}

func (p *governor) latency() Latency {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Latency{Before: p.base, During: quantiles(p.during)}
}

func (p *governor) low() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int(p.slowest)
}

// pings measures n round trips.
func pings(ctx context.Context, c *memcached.Conn, n int) ([]time.Duration, error) {
	beat := time.NewTicker(probeEvery)
	defer beat.Stop()
	var all []time.Duration
	for range n {
		begun := time.Now()
		if err := c.Ping(); err != nil {
			return nil, err
		}
		all = append(all, time.Since(begun))
		select {
		case <-beat.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return all, nil
}

func quantiles(samples []time.Duration) Quantiles {
	if len(samples) == 0 {
		return Quantiles{}
	}
	sorted := slices.Sorted(slices.Values(samples))
	at := func(q float64) time.Duration { return sorted[int(q*float64(len(sorted)-1))] }
	return Quantiles{Samples: len(sorted), P50: at(0.50), P99: at(0.99)}
}
