package drain

import "github.com/interlock-run/interlock/mountcheck/drain/flush"

// Sync is flush.Sync, to be called in a process that may hang.
func Sync(path string) error { return flush.Sync(path) }
