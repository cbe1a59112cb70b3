package testkit

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// busyShare is what one process that waits for a processor adds to what a test measures. A start or a death of
// ours is some ten milliseconds of work, in three processes one after the other.
const busyShare = 100 * time.Millisecond

// Busy is what a machine with as much other work as this one has now may add to a time that a test bounds: next to
// nothing at rest, so that the bound says something there, and enough for families of tests side by side.
func Busy(t testing.TB) time.Duration {
	t.Helper()
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		t.Fatal(err)
	}
	d, err := busy(string(text))
	if err != nil {
		t.Fatalf("/proc/loadavg: %v: %q", err, text)
	}
	return d
}

// busy goes by the larger of the average of the last minute and those that are runnable now, beside ourselves.
func busy(loadavg string) (time.Duration, error) {
	f := strings.Fields(loadavg + " 0 0 0 0")
	average, err := strconv.ParseFloat(f[0], 64)
	if err != nil {
		return 0, err
	}
	runnable, _, _ := strings.Cut(f[3], "/")
	now, err := strconv.ParseFloat(runnable, 64)
	if err != nil {
		return 0, err
	}
	return time.Duration(max(average, now-1, 0) * float64(busyShare)), nil
}
