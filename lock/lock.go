// Package lock takes and keeps one exclusive lock, by the lease protocol of docs/protocol.md.
//
// Promise: between two tenures of one lock lies at least what the earlier one may still use; a tenure
// that cannot renew says so before its deadline; the lock is released in one transaction with the state
// record. Non-promise: this package kills nothing: whoever holds a Tenure must end the payload by
// Lease.Kill (supervise does). Server timers are never taken as proof. Called by internal/lifecycle.
//
// The contract (this file) is what a driver for a lock service provides: a queue of ephemeral keys, and
// one persistent state record that is written only in transactions which check that the writer's own key
// is still there. Everything else (hold-off, heartbeats, deadlines) is here once, in Tenure.
package lock

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/clock"
)

// Errors that callers branch on; drivers wrap them with what, where and what to do.
var (
	ErrUnreachable = errors.New("lock service unreachable")                  // exit 69; may pass
	ErrCredentials = errors.New("lock service refused credentials")          // exit 77
	ErrBadRecord   = errors.New("state record unusable")                     // exit 78
	ErrConfig      = errors.New("lock configuration unusable")               // exit 78: path owned by someone else's ACL, shared filesystem, foreign key ahead, ...
	ErrHeld        = errors.New("lock held by another")                      // exit 75
	ErrPlaceLost   = errors.New("place in the queue lost before the grant")  // join anew
	ErrTokenBack   = errors.New("token would go back")                       // exit 78
	ErrUndrained   = errors.New("previous holder's writes may be undrained") // exit 72
	ErrLost        = errors.New("lease lost")                                // exit 76
)

// A Driver is one lock on one lock service. Its methods may be called from several goroutines; each
// honours its context and bounds itself by the try timeout of the Settings it was opened with, except
// Place.Await. A driver never retries a write by itself, nor lets a library do so.
type Driver interface {
	// Join puts a fresh contender into the queue and returns its place without waiting for the grant.
	// It fails with ErrUnreachable, ErrCredentials or ErrConfig.
	Join(ctx context.Context) (Place, error)
	// View reads queue and record without joining, for `lock show` and status.
	View(ctx context.Context) (View, error)
	// Diagnose tells what doctor prints about the service: version, rights, quota. It does not join.
	Diagnose(ctx context.Context) []Diagnosis
	// Close ends connections. A place that is still held is left to expire.
	Close() error
}

// An Advisor is a Driver that learns, from its first Join on, what is wrong with the service's servers.
// Findings never blocks; nothing is found before anybody answered.
type Advisor interface{ Findings() []Diagnosis }

// A Place is one contender's own key in the queue, from Join to Release, Leave or loss.
type Place interface {
	// Await returns nil once the own key is first in the queue, checked against the service (and, in
	// ZooKeeper, against the ephemeral owner). It returns ErrPlaceLost when the key went before the
	// grant and ctx.Err() when ctx ended. While waiting it holds one watch, on the key just ahead; when
	// next in line also one on the record, calling saw for each version of it that it learns of, with
	// the stamp taken *after* the reply arrived (T2). saw is called from one goroutine, also once right
	// after joining for every contender. wait bounds nothing here: the caller's ctx does.
	Await(ctx context.Context, saw func(Version, clock.Stamp)) error
	// Ahead describes the key just ahead, for messages; zero when granted or unknown.
	Ahead() Waiter
	// RawToken is the service's number of the own key: czxid, create revision, counter.
	RawToken() int64
	// Read reads the record linearizably (T1: in ZooKeeper a quorum write on the own node, then the read
	// on the same connection). The zero Stored means: no record there. A failed read is never "absent".
	Read(ctx context.Context) (Stored, error)
	// Write replaces the record in one transaction that checks that the own key is still there and the
	// record is at version after (the zero Version: absent) (W1). One try, no retry (W2).
	Write(ctx context.Context, data []byte, after Version) (Result, error)
	// Release is Write that also deletes the own key in the same transaction (E2).
	Release(ctx context.Context, data []byte, after Version) (Result, error)
	// Leave deletes the own key alone. Deleting a key that is gone already is no error.
	Leave(ctx context.Context) error
	// KeepAlive renews session or lease, by one request. The heartbeat loop calls it each period.
	KeepAlive(ctx context.Context) error
	// Gone is closed when the driver believes that the own key is gone (watch event, session ended). It
	// is a hint to beat at once, never proof.
	Gone() <-chan struct{}
	// Pulse tells the driver that the decision loop turned. A driver whose library keeps the session
	// alive by itself must let it lapse when there was no pulse for the hold (W4).
	Pulse()
}

// A Descriptor is a Place whose lock lives in an open file description (file driver). Whoever holds a
// duplicate of it keeps the lock.
type Descriptor interface{ Descriptor() *os.File }

// A Version is one state of the record at the store.
type Version struct {
	CAS  int64 // what a conditional write compares: etcd ModRevision, ZooKeeper version+1, file counter; 0 = absent
	Seen int64 // what tells two versions apart for ever: etcd ModRevision, ZooKeeper mzxid, file counter (T2)
}

// Stored is the record as read. The zero value means that there is none.
type Stored struct {
	Data    []byte
	Version Version
}

// Exists tells whether there is a record.
func (s Stored) Exists() bool { return s.Version != Version{} }

// An Outcome says what one try of a guarded write came to.
type Outcome int

const (
	Ambiguous Outcome = iota // no answer, or an answer that does not tell: it may have landed
	Committed                // the reply says committed; the only outcome that extends a lease
	KeyGone                  // the own key is not there: the tenure is lost
	Moved                    // own key there, record at another version: Current was re-read
	Missing                  // own key there, record absent though a version was expected
	Refused                  // the store takes no puts now (etcd NOSPACE); deleting the key may work
)

// A Result is the outcome of one try, with what was learned.
type Result struct {
	Outcome Outcome
	Version Version // of the record as written, if Committed
	Current Stored  // if Moved
}

// A Waiter is one key in the queue.
type Waiter struct {
	Key    string      // the key's own name
	Holder string      // who made it, as far as its value says
	Token  fence.Token // raw, without epoch
	Since  time.Time   // wall clock of the service or the writer, for people; zero if unknown
	// Foreign tells a key that another program made.
	Foreign bool
}

// A View is what one look at the service showed.
type View struct {
	Queue  []Waiter // in order; the first one holds the lock
	Record Stored
	// RecordAge is how long ago the record was written, by the service's or local wall clock; for people.
	RecordAge time.Duration
}

// A Diagnosis is one line of doctor.
type Diagnosis struct {
	Level string // ok, warn, fail
	What  string
	Do    string // the way out; empty when ok
}

// Settings is what every driver is opened with.
type Settings struct {
	Timing   Timing
	Holder   string // who we are, for the value of our key
	Node     string
	User     string
	Password string // from a file; never logged
	TLS      TLSFiles
	// Foreign permits keys of other programs ahead of ours (protocol.md section 6); the places are then
	// SharedPlaces.
	Foreign bool
	Clock   clock.Source
	Log     func(msg string, args ...any) // slog-shaped, debug level; never nil
	Warn    func(msg string, args ...any) // for the operator; nil goes to Log
}

// TLSFiles are paths of PEM files; all empty means no TLS.
type TLSFiles struct{ CA, Cert, Key string }

// Enabled tells whether TLS was asked for.
func (t TLSFiles) Enabled() bool { return t != TLSFiles{} }
