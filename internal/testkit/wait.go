package testkit

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const tick = 10 * time.Millisecond

// Wait polls until cond is true and fails the test at the limit with what
// cond said last. It is for things that send no event; where there is one,
// wait for that.
func Wait(t testing.TB, limit time.Duration, cond func() (bool, string)) {
	t.Helper()
	if last, ok := Poll(limit, cond); !ok {
		t.Fatalf("not within %v: %s", limit, last)
	}
}

// Poll is Wait without a test: it reports the last word and whether cond
// became true in time. The condition is always tried at least twice.
func Poll(limit time.Duration, cond func() (bool, string)) (string, bool) {
	end := time.NewTimer(limit)
	defer end.Stop()
	beat := time.NewTicker(tick)
	defer beat.Stop()
	for {
		ok, word := cond()
		if ok {
			return word, true
		}
		select {
		case <-beat.C:
		case <-end.C:
			ok, word = cond()
			return word, ok
		}
	}
}

// Recv waits for a value of a channel; what names it in the failure.
func Recv[T any](t testing.TB, limit time.Duration, what string, c <-chan T) T {
	t.Helper()
	end := time.NewTimer(limit)
	defer end.Stop()
	select {
	case v, ok := <-c:
		if !ok {
			t.Fatalf("%s: channel closed without a value", what)
		}
		return v
	case <-end.C:
		t.Fatalf("%s: nothing within %v", what, limit)
	}
	var none T
	return none
}

// Monotonic is CLOCK_MONOTONIC, which other processes can read as well.
func Monotonic() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("the kernel has no CLOCK_MONOTONIC: " + err.Error())
	}
	return time.Duration(ts.Nano())
}
