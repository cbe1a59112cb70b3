package model

// A rule of the protocol that the lease model can do without, to see what breaks.
type rule uint8

const (
	allRules           rule = iota
	holdOff                 // T3: what is owed is waited for
	stampBeforeSend         // section 2: a holder stamps before it sends
	keyCondition            // W1: a write checks that the own key is there
	storeVersion            // W1: a version is the store's, never (token, seq)
	stampAfterReply         // T2: a successor stamps after the reply arrived
	linearizableRead        // T1: the read after the grant shows the newest record
	readBeforeWrite         // T1: that read comes before the first own write
	ackBeforeStart          // T5: nothing starts before `running` is acknowledged
	holdOfRecord            // T3: the wait is the record's wait_ms, not the own H
	tellTheWait             // T4: `waiting` says what is left
	deathBeforeRelease      // E2: release only after the proof of death
	drainedAfterWait        // E2: `drained` only if the own hold-off had ended
	releaseIsFinal          // E3: no start and no heartbeat once the release was sent
	deadByDeadline          // E1: nothing is alive after D
	fenceCoversOwes         // T6: a fence covers every entry of `owes`
	fenceCoversWriter       // T6: and the writer of the record
	waitByVersion           // W1: a `waiting` write checks the version too
	initAbsent              // section 6: `lock init` changes no record that exists
	initLocked              // section 6: and creates one only while it holds the lock
	// Beyond section 7's list.
	createOwesHold // a write that creates the record says no less than a running holder's
	settleScaled   // what the own settle exceeds the record's is scaled in `waiting` too
	sessionOrder   // ZooKeeper, whose versions restart: requests of one session are executed in order
	holdMaxByHand  // T3: where holds differ, no record owes the fleet's largest
	waitGoesDown   // T4: what is left, not a full hold anew
	ownReplyOnly   // W2: only the reply that says committed extends D, no re-read
	clockFactors   // section 2 and T3: (1-2rho) and (1+2rho)
	holderMax      // section 2: a holder goes by the faster of its clocks
	successorMin   // section 2: a successor goes by the slower of its clocks
	settleCounts   // T3: the record's settle is owed too
	unknownUnsafe  // T6: no fence ends a wait while `unknown` stands in owes
	absentOwes     // T3: no record owes hold_max
	owesCarried    // T4: `waiting` carries on whom it took over from
	undrainedStays // E2: who was taken over undrained stays on record, whatever the own drain
	rules
)

// ruleNames say what is dropped, in the words of the protocol's section 7.
var ruleNames = [rules]string{
	allRules: "nothing", holdOff: "no hold-off", stampBeforeSend: "stamp at receive",
	keyCondition: "write not conditional on the key", storeVersion: "version by (token, seq)",
	stampAfterReply: "t_obs before the reply", linearizableRead: "read not linearizable",
	readBeforeWrite: "first write before the read", ackBeforeStart: "start before the `running` ack",
	holdOfRecord: "own H instead of the record's", tellTheWait: "third contender not told the wait",
	deathBeforeRelease: "release before death", drainedAfterWait: "`drained` although own hold-off open",
	releaseIsFinal: "release not final", deadByDeadline: "alive after D", fenceCoversOwes: "fence skips `owes`",
	fenceCoversWriter: "fence skips the writer", waitByVersion: "remaining wait without compare-and-set",
	initAbsent: "init unconditional", initLocked: "init only-if-absent alone",
	createOwesHold: "a creating write says only what is left", settleScaled: "own settle beyond a `waiting` record's not scaled", sessionOrder: "versions that restart, late requests in any order", holdMaxByHand: "holds differ and no record owes the own H", waitGoesDown: "`waiting` stamped with a full hold", ownReplyOnly: "a re-read extends D", clockFactors: "no factors for clock rates", holderMax: "holder by its slower clock",
	successorMin: "successor by its faster clock", settleCounts: "settle of the record not owed",
	unknownUnsafe: "fence ends the wait although `unknown` is owed",
	absentOwes:    "no record owes nothing", owesCarried: "`waiting` forgets whom it owes",
	undrainedStays: "own drain clears the earlier holders'",
}

func (r rule) String() string { return ruleNames[r] }
