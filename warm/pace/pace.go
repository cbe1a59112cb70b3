// Package pace spreads work evenly over time.
//
// Promise: over any longer time no more than the rate is let through, and what was missed is not made up for
// in a burst. Non-promise: it does not measure what the work does to others. Called by dump and load.
package pace

import (
	"context"
	"sync"
	"time"
)

// maxBehind is what may be made up for.
const maxBehind = 20 * time.Millisecond

// A Pace lets so many items a second through; the zero Pace any number. It may be used by many goroutines.
type Pace struct {
	mu   sync.Mutex
	rate float64
	next time.Time
}

// New is a Pace of a rate; 0 or less is none.
func New(rate float64) *Pace { return &Pace{rate: max(rate, 0)} }

// Set changes the rate.
func (p *Pace) Set(rate float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate = max(rate, 0)
}

// Take waits until n more items may pass.
func (p *Pace) Take(ctx context.Context, n int) error {
	wait := p.wait(n)
	if wait <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *Pace) wait(n int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rate == 0 {
		return 0
	}
	now := time.Now()
	if now.Sub(p.next) > maxBehind {
		p.next = now
	}
	wait := p.next.Sub(now)
	p.next = p.next.Add(time.Duration(float64(n) / p.rate * float64(time.Second)))
	return wait
}
