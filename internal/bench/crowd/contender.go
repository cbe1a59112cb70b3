//go:build bench

package main

import (
	"context"
	"sync"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/lock"
)

// contender queues, holds until told to release, and queues again when told so.
func (c *crowd) contender(ctx context.Context, i int) {
	d, err := c.open(ctx, i)
	if err != nil {
		c.say("failed %d open: %v", i, err)
		return
	}
	for err == nil {
		if err = c.tenure(ctx, d, i); err == nil {
			err = take(ctx, c.rejoin)
		}
	}
	if ctx.Err() == nil {
		c.say("failed %d %v", i, err)
	}
}

func take(ctx context.Context, order <-chan struct{}) error {
	select {
	case <-order:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A door tells of each join and lets only some through at once.
type door struct {
	lock.Driver
	c *crowd
	i int
}

func (d door) Join(ctx context.Context) (lock.Place, error) {
	d.c.door <- struct{}{}
	defer func() { <-d.c.door }()
	p, err := d.Driver.Join(ctx)
	if err == nil {
		d.c.say("joined %d", d.i)
	}
	return p, err
}

func (c *crowd) options(i int) lock.Options {
	return lock.Options{
		Timing: lock.DefaultTiming(), Holder: name(i), Node: "crowd", BootID: "crowd", Clock: clock.Now,
		NeverRan: func(context.Context) bool { return true }, // nobody did, on a fresh server
		Log:      quiet, Warn: quiet,
	}
}

func (c *crowd) tenure(ctx context.Context, d lock.Driver, i int) error {
	t, err := lock.Contend(ctx, door{d, c, i}, c.options(i), lock.Forever, func(lock.Waiter) {})
	if err != nil {
		return err
	}
	c.say("granted %d %d", i, now())
	var first sync.Once
	t.Begin(lock.Notify{
		Lease: func(lock.Lease) { first.Do(func() { c.say("leased %d %d", i, now()) }) },
		Lost:  func(err error) { c.say("failed %d lost: %v", i, err) },
		Beat:  func(lock.Outcome, time.Duration) { c.beats.Add(1) },
	})
	if err := c.hold(ctx, t); err != nil {
		t.Abandon()
		return err
	}
	at := now()
	_, err = t.Release(ctx, lock.Drained, true)
	c.say("released %d %d", i, at)
	return err
}

// hold is the decision loop: it pulses, as the runner of a real tenure does.
func (c *crowd) hold(ctx context.Context, t *lock.Tenure) error {
	pulse := time.NewTicker(time.Second)
	defer pulse.Stop()
	for {
		select {
		case <-pulse.C:
			t.Pulse()
		case <-c.release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
