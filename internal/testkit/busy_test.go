package testkit

import (
	"testing"
	"time"
)

func TestBusy(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0.00 0.01 0.05 1/337 4711\n":     0,
		"2.50 0.01 0.05 2/337 4711\n":     250 * time.Millisecond,
		"0.50 0.01 0.05 31/337 4711\n":    3 * time.Second,
		"40.00 25.00 15.00 12/900 4711\n": 4 * time.Second,
	} {
		if got, err := busy(text); err != nil || got != want {
			t.Errorf("%q adds %v, %v: expected %v", text, got, err, want)
		}
	}
	for _, text := range []string{"x 0 0 1/2 3", "1 0 0 x/2 3"} {
		if got, err := busy(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
	if Busy(t) < 0 {
		t.Error("less than nothing")
	}
}
