package crew

import (
	"context"
	"errors"
	"testing"
)

// The first error ends who waits, and is what Join gives.
func TestFirstErrorEndsAll(t *testing.T) {
	c := New(t.Context())
	nobodySends, nobodyTakes := make(chan int), make(chan int)
	first := errors.New("first")
	got := make(chan error, 2)
	c.Run(func() error {
		_, _, err := Receive(c.Context(), nobodySends)
		got <- err
		return err
	})
	c.Run(func() error {
		err := Send(c.Context(), nobodyTakes, 1)
		got <- err
		return errors.Join(err, errors.New("later"))
	})
	c.Run(func() error { return first })
	if err := c.Join(); err != first {
		t.Errorf("%v: expected the first error", err)
	}
	for range 2 {
		if err := <-got; err != first {
			t.Errorf("%v: expected the first error", err)
		}
	}
}

func TestChannels(t *testing.T) {
	c := New(t.Context())
	ch := make(chan int)
	c.Run(func() error {
		defer close(ch)
		return Send(c.Context(), ch, 7)
	})
	if v, open, err := Receive(c.Context(), ch); v != 7 || !open || err != nil {
		t.Errorf("%d, %v, %v", v, open, err)
	}
	if _, open, err := Receive(c.Context(), ch); open || err != nil {
		t.Errorf("open %v, %v: expected a closed channel", open, err)
	}
	if err := c.Join(); err != nil {
		t.Errorf("%v: expected none", err)
	}
	if c.Context().Err() == nil {
		t.Error("the context outlives Join")
	}
}

// Whoever called ends it too.
func TestCallersEnd(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("why")
	cancel(why)
	c := New(ctx)
	if err := c.Join(); err != why {
		t.Errorf("%v: expected the caller's cause", err)
	}
}
