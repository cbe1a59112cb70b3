// Package lifecycle knows the order of a run: one transition table, and the runner that follows it.
//
// Promise: nothing that can write to the data starts before the first acknowledged `running` heartbeat,
// and the lock is released only after the guard's last word that everything is dead; whatever happens in
// whatever phase has a cell in the table. Non-promise: it kills nothing itself (supervise does) and counts
// no lease (lock does). Called by cmd/interlock in the agent process.
package lifecycle

// A Phase is where a run stands.
type Phase int

const (
	Looking     Phase = iota // are the mounts right, before queueing
	Locking                  // in the queue
	Withdrawing              // told to stop while in the queue; waiting for the queue's last word
	HoldingOff               // granted; the previous holder may still run
	Mounting                 // the lease runs; are the mounts still right
	Claiming                 // the token is committed to the snapshot store, then written to the protected storage
	Restoring                // decide and run the restore
	Starting                 // pre_start hook
	Launching                // the payload was asked for
	Warming                  // it runs, and is filled before it is called ready
	Serving
	Stopping  // an ordinary stop: heartbeats go on, --stop-grace
	Losing    // lock or mount lost: --grace
	Killing   // everything in the kill domain dies; waiting for the proof
	Saving    // backup.on_stop: the last snapshot, of what the dead payload left
	Draining  // post_stop hook, then the storage is synced
	Finishing // the guard's last word
	Releasing
	Finished
	phases
)

// An Event is what can happen.
type Event int

const (
	Done          Event = iota // the phase's own step succeeded
	Failed                     // it did not
	Granted                    // the lock
	Leased                     // a `running` heartbeat was acknowledged
	Stop                       // told to stop
	LeaseLost                  // or fenced off
	MountLost                  // or wrong
	PayloadExited              // or could not be started
	Empty                      // everything in the kill domain is proven dead
	Unproven                   // killed, but nobody can prove it (E5)
	Dead                       // the guard's last word
	GuardGone                  // or stalled past the deadline
	TimeUp                     // the phase's patience ended
	events
)

// Markers of cells without a transition.
const (
	stay  Phase = -1 // heard and of no consequence here
	never Phase = -2 // cannot happen; if it does, that is a defect: kill everything, exit 70
)

// table is the order of a run. Rows are phases, columns events, cells the next phase.
var table = [phases][events]Phase{
	//            Done        Failed     Granted     Leased    Stop         LeaseLost  MountLost    PayloadExited Empty     Unproven  Dead       GuardGone    TimeUp
	Looking:     {Locking, Finished, never, never, Finished, never, Finished, never, never, never, never, Finished, never},
	Locking:     {never, Finished, HoldingOff, never, Withdrawing, never, Withdrawing, never, never, never, never, Withdrawing, never},
	Withdrawing: {Finished, Finished, Releasing, never, stay, never, stay, never, never, never, never, stay, never},
	HoldingOff:  {stay, stay, never, Mounting, Killing, Killing, Killing, never, stay, never, never, Killing, never},
	Mounting:    {Claiming, Killing, never, stay, Killing, Killing, Killing, never, Killing, never, never, Killing, never},
	Claiming:    {Restoring, Killing, never, stay, Killing, Killing, Killing, never, Killing, never, never, Killing, never},
	Restoring:   {Starting, Killing, never, stay, Killing, Killing, Killing, never, Killing, never, never, Killing, never},
	Starting:    {Launching, Killing, never, stay, Killing, Killing, Killing, never, Killing, never, never, Killing, never},
	Launching:   {Warming, Killing, never, stay, Stopping, Losing, Losing, Killing, Killing, never, never, Killing, never},
	Warming:     {Serving, Killing, never, stay, Stopping, Killing, Killing, Killing, Killing, never, never, Killing, never},
	Serving:     {stay, stay, never, stay, Stopping, Losing, Losing, Killing, Killing, never, never, Killing, never},
	Stopping:    {stay, Killing, never, stay, stay, Losing, Losing, Killing, Killing, never, never, Killing, Killing},
	Losing:      {stay, Killing, never, stay, stay, stay, stay, Killing, Killing, never, never, Killing, Killing},
	Killing:     {stay, stay, never, stay, stay, stay, stay, stay, Saving, Finished, never, stay, stay},
	Saving:      {Draining, Draining, never, stay, stay, Killing, Killing, stay, stay, never, never, Killing, never},
	Draining:    {Finishing, Finishing, never, stay, stay, Finishing, stay, stay, stay, never, never, Killing, never},
	Finishing:   {stay, stay, never, stay, stay, stay, stay, stay, stay, Finished, Releasing, Killing, never},
	Releasing:   {Finished, Finished, never, stay, stay, stay, stay, stay, stay, never, stay, stay, never},
	Finished:    {stay, stay, stay, stay, stay, stay, stay, stay, stay, stay, stay, stay, stay},
}

var phaseNames = [phases]string{
	"looking", "locking", "withdrawing", "holding-off", "mounting", "claiming", "restoring", "starting",
	"launching", "warming", "serving", "stopping", "losing", "killing", "saving", "draining", "finishing", "releasing", "finished",
}

var eventNames = [events]string{
	"done", "failed", "granted", "leased", "stop", "lease-lost", "mount-lost", "payload-exited", "empty",
	"unproven", "dead", "guard-gone", "time-up",
}

func (p Phase) String() string {
	switch {
	case p == stay:
		return "stay"
	case p < 0 || p >= phases:
		return "never"
	}
	return phaseNames[p]
}

func (e Event) String() string { return eventNames[e] }

// PhaseNames lists the phases in order, for metrics.
func PhaseNames() []string { return phaseNames[:] }
