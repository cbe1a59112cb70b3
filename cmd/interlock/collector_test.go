package main

import (
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"
)

// Whatever GOGC says (it is the payload's), the agent collects, and as usual once it has started.
func TestCollectorIsOurs(t *testing.T) {
	for _, given := range []int{-1, 7, 100} {
		before := debug.SetGCPercent(given)
		synctest.Test(t, func(t *testing.T) {
			t.Setenv("GOGC", "off")
			defer collectLater()()
			if now := debug.SetGCPercent(heapAtStart); now != heapAtStart {
				t.Errorf("a collection at %d %% at the start, expected %d", now, heapAtStart)
			}
			<-time.After(startTime)
			synctest.Wait()
			if now := debug.SetGCPercent(given); now != heapUsual {
				t.Errorf("a collection at %d %% later, expected %d", now, heapUsual)
			}
		})
		debug.SetGCPercent(before)
	}
}
