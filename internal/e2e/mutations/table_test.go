package mutations

import (
	"testing"

	"github.com/interlock-run/interlock/internal/chaos/judge"
	"github.com/interlock-run/interlock/internal/testkit"
)

// A scenario is a course of events in which a broken rule shows.
type scenario struct {
	breaks    string   // mutations, with commas
	redundant []string // mutations that alone do not show in it, because another rule holds
	rule      string   // of docs/protocol.md
	on        string   // etcd or zk
	story     string
	shows     judge.Kind
	tenures   int // of a run in which nothing is broken
	play      func(*field) error
	early     bool   // the server ends sessions early
	clocks    clocks // of contenders, where they are not the kernel's
}

// scenarios are in the order of the protocol. The backends take turns where the rule is kept in common code.
func scenarios() []scenario {
	return []scenario{
		{breaks: "token-not-compared", rule: "1", on: "etcd", story: "the next contender's token is smaller", shows: judge.Backward, tenures: 1, play: playEpoch},
		{breaks: "stamp-at-receive", rule: "2", on: "etcd", story: "a reply comes late; holder cut off, its key removed", shows: judge.Overlap, tenures: 2, play: playLateReply},
		{breaks: "no-guard-deadline", rule: "2", on: "zk", story: "agent stopped, key removed", shows: judge.Overlap, tenures: 2, play: playAgentStopped},
		{breaks: "successor-counts-larger", rule: "2", on: "zk", story: "holder cut off, its key removed; CLOCK_BOOTTIME of the successor jumps by 1 h in its hold-off",
			shows: judge.Overlap, tenures: 2, play: playCutJump("b"), clocks: clocks{"b": "boot+1h@jump"}},
		{breaks: "successor-counts-larger", rule: "2", on: "etcd", story: "holder cut off, its key removed; " + apart,
			shows: judge.Overlap, tenures: 2, play: playSlewedCut, clocks: slowAndFast()},
		{breaks: "holder-counts-smaller", rule: "2", on: "etcd", story: "holder cut off, its key removed; its CLOCK_BOOTTIME jumps back by 1 h",
			shows: judge.Overlap, tenures: 2, play: playCutJump("a"), clocks: clocks{"a": "boot-1h@jump"}},
		{breaks: "holder-counts-smaller", rule: "2", on: "zk", story: "holder cut off, its key removed; " + apart,
			shows: judge.Overlap, tenures: 2, play: playSlewedCut, clocks: slowAndFast()},
		{breaks: "guard-timer-one-clock", rule: "2", on: "etcd", story: "agent stopped, key removed; " + apart,
			shows: judge.Overlap, tenures: 2, play: playSlewedStop, clocks: slowAndFast()},
		{breaks: "unconditional-heartbeat", rule: "W1", on: "etcd", story: "key removed; successor held back between its read and its first write; record removed", shows: judge.Overlap, tenures: 2, play: playUnconditional},
		{breaks: "unconditional-heartbeat", rule: "W1", on: "zk", story: "key removed; successor held back between its read and its first write; record removed", shows: judge.Overlap, tenures: 2, play: playUnconditional},
		{breaks: "no-session-check,unconditional-heartbeat", redundant: []string{"no-session-check", "unconditional-heartbeat"}, rule: "W1", on: "zk",
			story: "the session expires early; the rest as above", shows: judge.Overlap, tenures: 2, play: playExpired, early: true},
		{breaks: "adopt-other-tenure,unconditional-heartbeat", redundant: []string{"adopt-other-tenure", "unconditional-heartbeat"}, rule: "W2", on: "zk",
			story: "key removed; successor cut off in its hold-off, for a while", shows: judge.Overlap, tenures: 2, play: playContest},
		{breaks: "reread-extends", rule: "W2", on: "etcd", story: "a reply is lost, the next try finds its write; holder cut off, its key removed", shows: judge.Overlap, tenures: 2, play: playLostReply},
		{breaks: "other-t-obs", rule: "T2", on: "zk", story: "holder cut off, its key removed, after heartbeats that the successor saw", shows: judge.Overlap, tenures: 2, play: playCutLater},
		{breaks: "no-hold-off", rule: "T3", on: "etcd", story: "holder cut off, its key removed", shows: judge.Overlap, tenures: 2, play: playCut},
		{breaks: "own-hold-counts", rule: "T3", on: "zk", story: "the same; the holder's hold is three times the successor's", shows: judge.Overlap, tenures: 2, play: playHolds},
		{breaks: "no-record-no-wait", rule: "T3", on: "etcd", story: "holder cut off, record and key removed", shows: judge.Overlap, tenures: 2, play: playNoRecord},
		{breaks: "third-not-told", rule: "T4", on: "zk", story: "holder cut off, its key removed; the successor's key removed in its hold-off", shows: judge.Overlap, tenures: 2, play: playThird},
		{breaks: "start-before-ack", rule: "T5", on: "etcd", story: "successor cut off at the end of its hold-off, its key removed", shows: judge.Overlap, tenures: 2, play: playUnacknowledged},
		{breaks: "release-before-death", rule: "E2", on: "zk", story: "stop of a payload that ignores TERM", shows: judge.Overlap, tenures: 2, play: playStubborn},
		{breaks: "drained-in-hold-off", rule: "E2", on: "etcd", story: "holder cut off, its key removed; the successor stopped in its hold-off", shows: judge.Overlap, tenures: 2, play: playTerm},
		{breaks: "guard-not-watched", rule: "E4", on: "zk", story: "guard stopped; holder cut off, its key removed", shows: judge.Overlap, tenures: 2, play: playGuardStopped},
		{breaks: "pdeathsig-pooled-thread", rule: "E4", on: "etcd", story: "no fault at all", shows: died, tenures: 1, play: playQuiet},
		{breaks: "init-over-live", rule: "6", on: "zk", story: "holder cut off, its key removed, `lock init`", shows: judge.Overlap, tenures: 2, play: playInit},
	}
}

func (s scenario) open(t testing.TB, name string) service {
	t.Helper()
	switch {
	case s.on == "etcd":
		return etcd(t, name)
	case s.early:
		return zookeeper(t, testkit.ZooKeeper(t, testkit.ZKOptions{Config: []string{"maxSessionTimeout=3000"}}), name)
	}
	return zookeeper(t, testkit.SharedZooKeeper(t), name)
}
