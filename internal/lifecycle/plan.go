package lifecycle

import (
	"context"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/lock"
	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/supervise"
)

// A Plan is everything that a run was told, checked and ready to follow.
type Plan struct {
	Lock    LockPlan
	Mounts  mountcheck.Config
	Data    string // empty: no data directory
	State   string // state directory; empty: no claim, no restore
	Device  DevicePlan
	Restore RestorePlan
	Store   StorePlan
	Warm    WarmPlan
	Payload PayloadPlan
	Stop    StopPlan
	Budgets Budgets
	Guard   supervise.Settings
}

// LockPlan is which lock, and how to contend.
type LockPlan struct {
	Driver  lock.Driver
	Options lock.Options // NeverRan and Volumes are filled in by the runner
	Wait    time.Duration
	Name    string // URL without credentials, INTERLOCK_LOCK
	Scope   string // the lock without its servers, which may change: whose tokens a claim is compared with
	// Fence switches an earlier holder's whole node off, nil only if that is confirmed; env is what it gets of
	// ours. Nil: nobody is fenced.
	Fence    func(ctx context.Context, env []string, o lock.Owed) error
	Watchdog Watchdog // nil: none
	// OneHost tells that the lock lives on this host alone, so that no claim in the state directory, or
	// no state directory at all, proves that nobody ever ran (protocol.md section 6).
	OneHost bool
}

// RestorePlan is the scripted restore.
type RestorePlan struct {
	Exec    []string
	When    string
	Timeout time.Duration
}

// Hooks are commands around the payload's life; an empty Exec is no hook.
type Hooks struct{ PreStart, PostStart, PreStop, PostStop Hook }

// Hook is one command with its time limit.
type Hook struct {
	Exec    []string
	Timeout time.Duration
}

// PayloadPlan is what to run: the tail of the guard's own argv, so that it stays untouched.
type PayloadPlan struct {
	ArgvFrom   int
	Name       string // argv[0], for messages
	Credential *supervise.Credential
	NextSecond bool // it is started in a later second of the wall clock than the lock was granted in: a memcached with -e drops its content else
	Hooks      Hooks
}

// StopPlan is the two kinds of patience, of an ordinary stop and after a loss, and what is done where there is no
// end: by a task that does not die, a sync that hangs, a volume that is not drained.
type StopPlan struct {
	Signal     syscall.Signal // 0: send none
	Grace      time.Duration
	LossGrace  time.Duration
	Free       bool          // storage that keeps a task or a sync is broken, as far as privileges reach
	ResetAfter time.Duration // then the machine is reset; 0: never
	Undrained  bool          // the lock is released after Budgets.Drain though waiting might help
}

// Budgets bound the phases after the hold-off (T7).
type Budgets struct{ Mount, Claim, Drain time.Duration }

// A Guard is what the runner needs of the guard: supervise.Link.
type Guard interface {
	Events() <-chan supervise.Event
	Prepare(supervise.Settings) error
	Lease(supervise.Lease) error
	Start(supervise.Spec) error
	Signal(id uint32, sig syscall.Signal) error
	KillOne(id uint32) error
	Kill(tenure uint64) error
	Finish(tenure uint64) error
	Keep(f *os.File) error
	Memory(kills *os.File, was uint64) error
	TakeOver(ctx context.Context, env []string) (supervise.Proof, error)
}

// Deps is what a runner works with besides the plan.
type Deps struct {
	Guard Guard
	Clock clock.Source
	Log   *slog.Logger
	// Observe is told of every turn, by the deciding loop itself: it must not wait. Nil: nobody is told.
	Observe func(Phase, Status)
}

// A Verdict is how the run ended: the exit code, and one line for people.
type Verdict struct {
	Code    int
	Reason  string
	Payload bool // it is the payload's own end, and not ours
}
