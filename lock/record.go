package lock

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/clock"
)

// A Phase says what the writer of a state record may still be doing with the data.
type Phase string

const (
	Waiting Phase = "waiting" // granted, in its hold-off, has started nothing
	Running Phase = "running" // may have processes that write
	Dead    Phase = "dead"    // all processes proven dead, storage not drained
	Drained Phase = "drained" // dead, and everything written has arrived
)

// recordVersion is the format of the record that this program writes and reads.
const recordVersion = 1

// A Record is the persistent state record beside the lock key (protocol.md section 1).
type Record struct {
	V        int         `json:"v"`
	Token    fence.Token `json:"token,string"`
	Holder   string      `json:"holder"`
	Node     string      `json:"node"`
	BootID   string      `json:"boot_id"`
	Phase    Phase       `json:"phase"`
	WaitMS   int64       `json:"wait_ms"`   // what a successor owes, counted from this version of the record
	SettleMS int64       `json:"settle_ms"` // the writer's settle
	Owes     []Owed      `json:"owes,omitempty"`
	Volumes  []string    `json:"volumes,omitempty"` // network mounts in use
	Domain   *Domain     `json:"domain,omitempty"`  // where the payload runs, for the same-boot shortcut
	At       time.Time   `json:"at"`                // wall clock, for people only
	// Mark is the driver's, written by a release beside foreign peers (ZooKeeper: the parent's cversion).
	Mark int64 `json:"parent_cversion,omitempty"`
}

// Owed is an earlier holder that nobody has proven dead and drained.
type Owed struct {
	Unknown bool        `json:"-"` // no record was found: it could be anybody
	Token   fence.Token `json:"token,string"`
	Node    string      `json:"node"`
	BootID  string      `json:"boot_id"`
	Volumes []string    `json:"volumes,omitempty"`
}

// Domain identifies the kill domain of a payload on its own machine, so that a successor on the same
// boot can see that it is empty. The lock package only carries it.
type Domain struct {
	CgroupNS     uint64 `json:"cgroup_ns,omitempty"`      // inode of the cgroup namespace
	CgroupID     uint64 `json:"cgroup_id,omitempty"`      // inode of the cgroup's directory
	Cgroup       string `json:"cgroup,omitempty"`         // its path, as in /proc/PID/cgroup
	PIDNS        uint64 `json:"pid_ns,omitempty"`         // inode of the PID namespace
	PIDNSCreator uint64 `json:"pid_ns_creator,omitempty"` // inode of the one that it was made from
}

const unknownOwed = `"unknown"`

// MarshalJSON writes an unknown holder as the word, any other as an object.
func (o Owed) MarshalJSON() ([]byte, error) {
	if o.Unknown {
		return []byte(unknownOwed), nil
	}
	type plain Owed
	return json.Marshal(plain(o))
}

// UnmarshalJSON reads both forms and refuses any other.
func (o *Owed) UnmarshalJSON(b []byte) error {
	if string(b) == unknownOwed {
		*o = Owed{Unknown: true}
		return nil
	}
	type plain Owed
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	return dec.Decode((*plain)(o))
}

// Encode is the record as stored.
func (r Record) Encode() ([]byte, error) { return json.Marshal(r) }

// DecodeRecord reads a stored record and refuses, with ErrBadRecord, what it cannot judge: another
// format, a corrupt one, an absurd wait. Refusing is the only safe answer: a guess may cut a wait short.
func DecodeRecord(data []byte, t Timing) (Record, error) {
	var v struct {
		V      int    `json:"v"`
		Holder string `json:"holder"`
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return Record{}, fmt.Errorf("%w: not JSON (%v), %d bytes: `interlock lock show` prints it; repair or remove it by hand, with no holder running", ErrBadRecord, err, len(data))
	}
	if v.V != recordVersion {
		return Record{}, fmt.Errorf("%w: format v=%d written by %q, this program reads v=%d: run the same release on every node", ErrBadRecord, v.V, v.Holder, recordVersion)
	}
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return Record{}, fmt.Errorf("%w: written by %q: %v", ErrBadRecord, v.Holder, err)
	}
	return r, r.validate(t)
}

func (r Record) validate(t Timing) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: written by %q on node %q: %s", ErrBadRecord, r.Holder, r.Node, fmt.Sprintf(format, args...))
	}
	limit := t.EffectiveHoldMax()
	switch r.Phase {
	case Running, Dead, Drained:
	case Waiting:
		limit = time.Duration(1.1 * float64(limit+max(t.Settle, r.settle())))
	default:
		return bad("phase %q: expected waiting, running, dead or drained", r.Phase)
	}
	switch {
	case r.Token == 0 || r.Token > 1<<63-1:
		return bad("token %d: expected 1 to 2^63-1", uint64(r.Token))
	case r.WaitMS < 0 || r.WaitMS > limit.Milliseconds():
		return bad("wait_ms %d in phase %s: expected 0 to %d; a holder with a longer hold needs hold-max raised on every node", r.WaitMS, r.Phase, limit.Milliseconds())
	case r.SettleMS < 0 || r.SettleMS > math.MaxInt64/int64(4*time.Millisecond):
		return bad("settle_ms %d: expected 0 or more", r.SettleMS)
	}
	return nil
}

func (r Record) wait() time.Duration   { return time.Duration(r.WaitMS) * time.Millisecond }
func (r Record) settle() time.Duration { return time.Duration(r.SettleMS) * time.Millisecond }

// Scaled is d on a clock that may run fast by rho while the holder's runs slow by rho, rounded up.
func Scaled(d time.Duration) time.Duration {
	return time.Duration(math.Ceil(float64(d) * (1 + 2*clock.Rho)))
}

// ceilMS rounds up to whole milliseconds, never below zero.
func ceilMS(d time.Duration) int64 {
	if d <= 0 {
		return 0
	}
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
