package load

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-run/interlock/warm/item"
	"github.com/interlock-run/interlock/warm/memcached"
)

// Nobody stores more than so much between two looks at the evictions.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		ctx, cancel := context.WithCancel(t.Context())
		for range waitItems / 1000 {
			if err := g.pass(ctx, 1000); err != nil {
				t.Fatal(err)
			}
		}
		passed := make(chan error, 1)
		go func() { passed <- g.pass(ctx, 1000) }()
		synctest.Wait()
		select {
		case err := <-passed:
			t.Fatalf("the gate is open after %d items without a look: %v", waitItems, err)
		case <-g.due: // a look is asked for
		}
		g.looked()
		if err := <-passed; err != nil {
			t.Fatal(err)
		}
		for range waitItems/1000 - 1 {
			if err := g.pass(ctx, 1000); err != nil {
				t.Fatal(err)
			}
		}
		go func() { passed <- g.pass(ctx, 1000) }()
		synctest.Wait()
		cancel()
		if err := <-passed; !errors.Is(err, context.Canceled) {
			t.Errorf("at the end of the load: %v", err)
		}
	})
}

// An item that ends within half a second is over.
func TestLastSecond(t *testing.T) {
	l := New(Options{})
	now := time.Now()
	for left, over := range map[time.Duration]bool{-time.Hour: true, 0: true, 400 * time.Millisecond: true, 3 * time.Second: false} {
		_, err := l.expiry(&item.Item{Expires: now.Add(left).UnixMilli()}, now)
		if got := errors.Is(err, memcached.ErrExpired); got != over || err != nil && !got {
			t.Errorf("%v left: %v", left, err)
		}
	}
	if e, err := l.expiry(&item.Item{}, now); e != (memcached.Expiry{}) || err != nil {
		t.Errorf("for ever: %v %v", e, err)
	}
}
