//go:build mutate

// Package mutate, in this build, breaks the rules that the environment names.
package mutate

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Variable names the rule to break, or several with commas between them.
const Variable = "INTERLOCK_MUTATE"

// Broken tells whether this run breaks the rule.
func Broken(rule string) bool {
	return slices.Contains(strings.Split(os.Getenv(Variable), ","), rule)
}

// pooled is how long a thread of a pool lives on once it has nothing to do.
const pooled = 1500 * time.Millisecond

// OnPooledThread runs f on a thread that ends a while later, as those of a runtime's pool do.
func OnPooledThread(f func()) {
	done := make(chan struct{})
	go func() { // joined only as far as f: that the thread ends behind our back is the mistake
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		f()
		close(done)
		<-time.After(pooled)
	}()
	<-done
}
