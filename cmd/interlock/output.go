package main

import (
	"io"
	"sync"

	"github.com/interlock-run/interlock/internal/exit"
)

// output is what verbs print to: a failure of it is told apart from those of what they work on, and also where a verb
// does not look. Progress and results come from different goroutines.
type output struct {
	to io.Writer

	mu     sync.Mutex
	failed error // the first one
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.to.Write(p)
	if err == nil {
		return n, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed == nil {
		o.failed = exit.Withf(exit.Internal, "the output is not whole: %w: what the verb has done stands", err)
	}
	return n, o.failed
}

// or is the error of a verb, or that of its output.
func (o *output) or(err error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil {
		return o.failed
	}
	return err
}
