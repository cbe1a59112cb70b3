package lock

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
)

// A stepping clock is both clocks of a bubble, of which each can be moved by hand.
type stepping struct{ boot, raw atomic.Int64 }

func (s *stepping) source() clock.Source {
	base := bubbleClock()
	return func() clock.Stamp {
		now := base()
		return clock.Stamp{Boot: now.Boot + time.Duration(s.boot.Load()), Raw: now.Raw + time.Duration(s.raw.Load())}
	}
}

// A jump of one clock by an hour, either way, never lets a successor start early: it counts the smaller.
func TestClockJumpDoesNotCutTheHoldOff(t *testing.T) {
	for name, jump := range map[string]func(*stepping){
		"boottime +1h":      func(s *stepping) { s.boot.Store(int64(time.Hour)) },
		"monotonic raw +1h": func(s *stepping) { s.raw.Store(int64(time.Hour)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, clk := &service{tokens: 100}, &stepping{}
				s.put(t, Record{Phase: Running, Token: 1, WaitMS: 20000})
				c := contend(t, s, options(clk.source()))
				stop := c.pulse()
				from := time.Now()
				<-time.After(5 * time.Second)
				jump(clk)
				<-c.leased
				if waited := time.Since(from); waited < 20080*time.Millisecond {
					t.Errorf("the hold-off ended after %v", waited)
				}
				stop()
				c.t.Abandon()
			})
		})
	}
}

// The same jump ends a holder's lease at once: it counts the larger. Losing too early is safe.
func TestClockJumpEndsTheLease(t *testing.T) {
	for name, jump := range map[string]func(*stepping){
		"boottime +1h":      func(s *stepping) { s.boot.Store(int64(time.Hour)) },
		"monotonic raw +1h": func(s *stepping) { s.raw.Store(int64(time.Hour)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, clk := &service{tokens: 100}, &stepping{}
				s.put(t, Record{Phase: Drained, Token: 1})
				c := contend(t, s, options(clk.source()))
				stop := c.pulse()
				<-c.leased
				n := c.count()
				jump(clk)
				<-c.lost
				if c.count() > n+1 {
					t.Errorf("the lease was extended %d times after the jump", c.count()-n)
				}
				stop()
				c.t.Abandon()
			})
		})
	}
}

// Clocks that differ by rho in the worst direction still leave the successor's start after the holder's D.
func TestRatesApart(t *testing.T) {
	tm := DefaultTiming()
	real := tm.Hold                                                     // true time that the successor waits at least
	waited := time.Duration(float64(Scaled(tm.Hold)) / (1 + clock.Rho)) // its clock fast by rho
	used := time.Duration(float64(tm.Usable()) / (1 - clock.Rho))       // the holder's clock slow by rho
	if used >= waited || used >= real {
		t.Errorf("a slow holder may use %v of true time, a fast successor waits %v", used, waited)
	}
}
