// Package mountcheck tells whether the mounts that a service needs are there, are the right ones, and
// answer.
//
// Promise: an unmount, a replacement and a remount are seen by the kernel's own event; a mount that
// hangs costs one helper process and one timeout, never the caller: nothing here touches a path below a
// mount itself. Nothing is created in the directory under a missing mount. What cannot be read is never
// called absent. Non-promise: it does not see bytes that are still on their way to a server after the
// mount went, and a filesystem replaced behind the same server and export is seen only by its volume id.
// Called by internal/lifecycle (Look, Watch, Trace) and by cmd/interlock (InitVolume, Look).
package mountcheck

import "time"

// Expect is one mount that must be there. Empty fields are not checked.
type Expect struct {
	Path    string   // the mountpoint, absolute
	FSType  string   // name or glob; nfs means every version
	Source  string   // glob over the source; one that ends in "]" is matched against SOURCE[ROOT] as findmnt writes bind mounts
	Require []string // options that must be in force: key, or key=value
	Forbid  []string // options that must not
	Volume  string   // id in the sentinel file of the mount's root
	UUID    string   // of the filesystem, as blkid shows it, and of what its device holds
	// FailAfter is how long errors and hangs must last before they count. The mount table's own verdicts
	// (absent, wrong, replaced, read-only) count at once.
	FailAfter time.Duration
	// RecoverAfter is how long answers must have been good again before a finding that counted is over.
	RecoverAfter time.Duration
	Policy       map[Kind]Policy // what differs from the defaults
	Bounds
	named bool // not only watched because something lies on it: its options are judged
}

// Bounds are what a mount that is right and alive must keep. Zero fields are not checked.
type Bounds struct {
	Latency   time.Duration // the median of the last probes must not take longer
	MinFree   uint64        // bytes that must be free, for those who are not root
	MinInodes uint64
}

// ReadOnly tells that the mount is meant to be read-only: no probe writes to it.
func (e Expect) ReadOnly() bool { return has(e.Require, "ro") }

// Finding is what was found at one path.
type Finding struct {
	Path   string
	Kind   Kind
	Detail string        // one line: what was seen, what was expected
	Do     string        // the way out, empty if nothing is wrong
	Policy Policy        // empty if nothing is wrong
	Took   time.Duration // of the last probe that came to its end
}

// Fatal tells whether a service must not run on such a mount.
func (f Finding) Fatal() bool { return f.Policy == Kill }

// Config says what is watched.
type Config struct {
	Expect []Expect
	// Data is the directory of the payload's data: it must exist, and its mount is watched too.
	Data string
	// StateDir is where claim and state file lie; its mount is watched too. It need not exist yet.
	StateDir string
	// Seen is the mount of Data as an earlier Trace found it: Data on another mountpoint is then absent,
	// so that an unmount between a look and the watch is not taken for a data directory on a plain disk.
	Seen Mount
	// FailAfter is Expect.FailAfter of mounts that are watched only because Data or StateDir lies on them.
	FailAfter time.Duration
	Period    time.Duration // between two probes, default 2s
	Timeout   time.Duration // of each stage of a probe, default 5s
	Log       func(format string, args ...any)
}

// The defaults of Config.
const (
	DefaultPeriod  = 2 * time.Second
	DefaultTimeout = 5 * time.Second
)

func (c Config) withDefaults() Config {
	if c.Period <= 0 {
		c.Period = DefaultPeriod
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Log == nil {
		c.Log = func(string, ...any) {}
	}
	return c
}

func has(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}
