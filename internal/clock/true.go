//go:build !mutate

package clock

import "time"

// bend is nothing in this build: clocks are what the kernel says.
func bend(s Stamp) Stamp { return s }

// OnTimer is how long a kernel timer on CLOCK_BOOTTIME has to be armed for, so that it fires when d has
// passed on Now's: d itself, but in a build that bends clocks.
func OnTimer(d time.Duration) time.Duration { return d }

// Inherited is what the environment of a process must hold for its clocks: nothing, but in a build that
// bends them.
func Inherited() []string { return nil }
