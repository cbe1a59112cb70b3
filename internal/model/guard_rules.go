package model

// A bond is a rule between guard, agent and gate that the second model can do without.
type bond uint8

const (
	allBonds         bond = iota
	armedFirst            // no process is forked before a deadline is armed
	gateAtAll             // E4: a forked child waits at a gate, and the clock is read between fork and exec
	gateReadsClock        // E4: the gate reads the clock itself, as its last step
	guardKeepsTime        // the guard goes by its own deadline, whatever the agent does
	agentTakesOver        // the agent ends the domain of a guard that is stopped past the kill time
	guardDiesFirst        // E4: the agent that takes over kills the guard first
	firstGuardWaits       // where the guard is PID 1: a take-over is proven only past the kill time
	deadIsFinal           // E3: no start once the tenure was asked to finish
	deadIsProven          // E3: `dead` is said after the proof
	lateLeaseRefused      // a deadline is accepted only before the present one has passed
	tenureInMessages      // E4: every message carries the tenure
	bonds
)

var bondNames = [bonds]string{
	allBonds: "nothing", armedFirst: "start before a deadline is armed", gateAtAll: "no gate: the clock is read before the fork only",
	gateReadsClock: "gate does not read the clock", guardKeepsTime: "guard without a deadline of its own",
	agentTakesOver: "agent does not watch the guard", guardDiesFirst: "take-over leaves the guard alive",
	firstGuardWaits: "take-over from PID 1 before the kill time", deadIsFinal: "start after finish",
	deadIsProven: "`dead` before the proof", lateLeaseRefused: "deadline accepted after the present one has passed",
	tenureInMessages: "messages without a tenure",
}

func (b bond) String() string { return bondNames[b] }
