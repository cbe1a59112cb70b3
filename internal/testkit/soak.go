package testkit

import (
	"testing"
	"time"
)

// Soak is how long a test of endurance is to last: what INTERLOCK_SOAK says (make soak), or this short time.
func Soak(t testing.TB, short time.Duration) time.Duration {
	t.Helper()
	asked := setting("INTERLOCK_SOAK")
	if asked == "" {
		return short
	}
	d, err := time.ParseDuration(asked)
	must(t, err)
	return min(max(d, short), 24*time.Hour)
}
