// Package locktest is the suite that every driver of package lock passes against its real server.
//
// Promise: each sub-test takes one sentence of the contract in lock/lock.go and fails for a driver that
// breaks it. Non-promise: it makes no network faults and knows no lease arithmetic; those tests are the
// driver's and Tenure's own. Called by the tests of lock/zk, lock/etcd and lock/file.
package locktest

import (
	"context"
	"testing"
	"time"

	"github.com/interlock-run/interlock/lock"
)

// A Harness is what a driver's test hands to Run.
type Harness struct {
	// Fresh names a lock that no other sub-test uses; servers may be shared between sub-tests.
	Fresh func(t *testing.T) Lock
	// Timing replaces the suite's own (hold 3 s) where a server cannot go that low.
	Timing lock.Timing
	Traits Traits
}

// Traits are the ways in which a service may rightly differ.
type Traits struct {
	Unordered  bool // grants in any order, and shows no queue behind the holder
	SingleFile bool // lock and record are one file: whoever removes the key removes the record
	NoExpiry   bool // nothing runs out by time: only the end of the process frees an abandoned lock
	SawAtGrant bool // the record is readable by the holder alone: saw is called at the grant
}

// A Lock is one fresh lock, and what can be done to it behind the driver's back. Open is required; a
// nil function means that the service has no such event, and its sub-tests are skipped, saying so.
type Lock struct {
	// Open makes a driver with a client of its own. The suite fills the settings but for credentials and
	// TLS, and closes the driver.
	Open func(ctx context.Context, s lock.Settings) (lock.Driver, error)
	// RemoveKey deletes the key of p (found by p.RawToken, or by knowing the driver's type).
	RemoveKey func(t *testing.T, p lock.Place)
	// RemoveRecord deletes the record and leaves the keys.
	RemoveRecord func(t *testing.T)
	// Overwrite puts other bytes into the record without any guard.
	Overwrite func(t *testing.T, data []byte)
	// Corrupt damages the record such that the driver itself must see it.
	Corrupt func(t *testing.T)
	// Expire makes the service drop the session or lease that p hangs on, at once.
	Expire func(t *testing.T, d lock.Driver, p lock.Place)
	// Intrude queues a key of another program, behind those that are there; what it returns takes it away.
	// A service without it has no foreign peers.
	Intrude func(t *testing.T) func()
	// Watches counts the watches that clients have at the service for this lock now.
	Watches func(t *testing.T) int
	// Notified counts the watch events that the service has had for clients so far, one for each watcher.
	Notified func(t *testing.T) int
}

// suiteTiming has a short hold and a try that survives a loaded machine.
func suiteTiming() lock.Timing {
	return lock.Timing{
		Hold: 3 * time.Second, Heartbeat: 300 * time.Millisecond, TryTimeout: time.Second, Tries: 2,
		KillBudget: 100 * time.Millisecond, Margin: 50 * time.Millisecond, HoldMax: time.Minute,
	}
}

// tests is the suite, in the order of the contract.
var tests = []struct {
	name string
	run  func(b *bench)
}{
	{"Order", testOrder},
	{"TokensIncreaseAcrossReopen", testTokensAcrossReopen},
	{"TokensIncreaseAfterRecordRemoved", testTokensAfterRecordRemoved},
	{"Counter", testCounter},
	{"ReadAbsent", testReadAbsent},
	{"ReadCancelled", testReadCancelled},
	{"WriteAndRead", testWriteAndRead},
	{"WriteGuardedByVersion", testWriteGuarded},
	{"WriteAdoptsOwn", testWriteAdoptsOwn},
	{"WriteAfterOverwrite", testOverwrite},
	{"WriteKeyGone", testWriteKeyGone},
	{"WriteMissing", testWriteMissing},
	{"CorruptRecord", testCorrupt},
	{"ReleaseIsOneStep", testReleaseOneStep},
	{"ReleaseGuardedByVersion", testReleaseGuarded},
	{"ReleaseIsFinal", testReleaseFinal},
	{"ReleaseWakesTheNext", testReleaseWakesNext},
	{"LeaveKeepsRecord", testLeave},
	{"LeaveInTheMiddle", testLeaveMiddle},
	{"Clear", testClear},
	{"ClearMoved", testClearMoved},
	{"HolderActs", testHolderActs},
	{"AwaitCancelled", testAwaitCancelled},
	{"PlaceLost", testPlaceLost},
	{"SawAfterJoin", testSawAfterJoin},
	{"SawOnlyByNext", testSawOnlyNext},
	{"SawStampAfterReply", testSawStamp},
	{"Watches", testWatches},
	{"HeartbeatNotifiesOne", testHeartbeatNotifiesOne},
	{"ReleaseNotifiesFew", testReleaseNotifiesFew},
	{"GoneOnRemoval", testGone},
	{"GoneOnExpiry", testExpire},
	{"PlaceLostOnExpiry", testExpireWaiting},
	{"View", testView},
	{"Ahead", testAhead},
	{"Diagnose", testDiagnose},
	{"CloseLeavesToExpire", testClose},
	{"NoPulseLapses", testNoPulse},
	{"SharedReset", testSharedReset},
	{"SharedResetGone", testSharedResetGone},
	{"SharedUnbroken", testSharedUnbroken},
	{"SharedBetween", testSharedBetween},
	{"SharedCrash", testSharedCrash},
}

// Run runs the suite, each sub-test on a lock of its own.
func Run(t *testing.T, h Harness) {
	if h.Timing == (lock.Timing{}) {
		h.Timing = suiteTiming()
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(newBench(t, h)) })
	}
}
