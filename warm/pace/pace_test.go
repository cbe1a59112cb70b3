package pace_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-run/interlock/warm/pace"
)

func TestRateIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pace.New(10_000)
		took := func(batches int) time.Duration {
			begun := time.Now()
			for range batches {
				if err := p.Take(t.Context(), 16); err != nil {
					t.Fatal(err)
				}
			}
			return time.Since(begun)
		}
		if d := took(101); d != 160*time.Millisecond {
			t.Errorf("1600 items and one batch at 10,000 a second took %v", d)
		}
		<-time.After(time.Hour)
		if d := took(101); d != 160*time.Millisecond {
			t.Errorf("after an hour of rest: %v", d)
		}
		p.Set(0)
		if d := took(1000); d != 0 {
			t.Errorf("without a rate: %v", d)
		}
		p.Set(1)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.Take(ctx, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("ended while it waits: %v", err)
		}
	})
}
