package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/lock"
	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/supervise"
)

// look checks the mounts read-only before queueing, so that a node without the mount does not win the
// lock again and again (T7).
func (r *Runner) look() {
	if r.plan.Device.there() {
		r.foresee()
		return
	}
	r.watch(func() { r.beside(r.mountsRight) })
}

// watch begins to watch the mounts, and goes on if the phase is still the same.
func (r *Runner) watch(then func()) {
	number := r.step.number
	r.besideAlways(func(ctx context.Context) message {
		// The watch outlives this phase, unless the phase ends before it stands.
		life, end := context.WithCancel(context.Background())
		stands := context.AfterFunc(ctx, end)
		w, err := mountcheck.Watch(life, r.plan.Mounts)
		stands()
		if err != nil {
			end()
			return message{step: number, event: Failed, code: exit.Mount, reason: fmt.Sprintf("cannot watch the mounts: %v", err)}
		}
		return message{then: func() {
			r.seen.mounts = w
			if r.step.number != number { // what ends the probes may have come before it
				r.closeMounts()
				return
			}
			then()
		}}
	})
}

// mountsRight is one look at all mounts, within the mount budget.
func (r *Runner) mountsRight(ctx context.Context) message {
	ctx, cancel := context.WithTimeout(ctx, r.plan.Budgets.Mount)
	defer cancel()
	if f, refused := mountcheck.Refusal(r.seen.mounts.Look(ctx)); refused {
		return message{event: Failed, code: FindingCode(r.plan.Mounts, f), reason: findingText(f)}
	}
	return message{event: Done}
}

// FindingCode is the exit code of a finding that forbids a start: what is not known of the data directory
// itself is the restore's, everything else the mount's.
func FindingCode(c mountcheck.Config, f mountcheck.Finding) int {
	named := slices.ContainsFunc(c.Expect, func(e mountcheck.Expect) bool { return e.Path == f.Path })
	unreadable := f.Kind == mountcheck.Denied || f.Kind == mountcheck.Stale || f.Kind == mountcheck.Erroring
	if f.Kind == mountcheck.NoData || unreadable && f.Path == c.Data && !named {
		return exit.Restore
	}
	return exit.Mount
}

func findingText(f mountcheck.Finding) string {
	s := fmt.Sprintf("mount %s: %s", f.Path, f.Detail)
	if f.Do != "" {
		s += ": " + f.Do
	}
	return s
}

// contend queues. Its report is heard in any phase: a lock that was granted after all must be given back,
// and withdrawing waits for this last word.
func (r *Runner) contend() {
	r.watched()
	o := &r.plan.Lock.Options
	o.NeverRan, o.Volumes = r.neverRan, r.networkVolumes()
	if r.plan.Lock.Fence != nil {
		o.Fence = r.fenceOff
	}
	o.Log, o.Warn = r.debug, func(msg string, args ...any) { r.log.Warn(msg, args...) }
	r.besideAlways(func(ctx context.Context) message {
		t, err := lock.Contend(ctx, r.plan.Lock.Driver, *o, r.plan.Lock.Wait, r.seen.queuedBehind(r.log))
		if err == nil {
			return message{event: Granted, tenure: t}
		}
		if ctx.Err() != nil {
			return message{event: Done}
		}
		return message{event: Failed, code: LockCode(err), reason: err.Error()}
	})
}

// neverRan is T3's proof: each configured place of a claim was read, after the grant, and holds none. A
// state directory counts only on a verified shared mount, or where the lock itself is of one host. A store is
// such a place that nobody reads before the hold-off has ended (T5: only processes of the kill domain do).
func (r *Runner) neverRan(ctx context.Context) bool {
	if r.plan.Device.there() { // it is not attached yet: nobody can have read a claim on it
		return false
	}
	if r.plan.State == "" {
		return r.plan.Lock.OneHost
	}
	if !r.plan.Lock.OneHost && (r.plan.Store.there() || !r.stateShared()) {
		return false
	}
	_, err := r.seen.mounts.ReadFile(ctx, filepath.Join(r.plan.State, fence.ClaimFile), claimLimit)
	return errors.Is(err, fs.ErrNotExist)
}

const claimLimit = 64 << 10

// stateShared tells whether the state directory lies on a mount that was named, and so verified, and is a
// network filesystem: a claim by another node would be seen there.
func (r *Runner) stateShared() bool {
	m, err := mountcheck.Trace(r.plan.State)
	if err != nil || !mountcheck.Network(m.FSType, m.Source, m.Options) {
		return false
	}
	for _, e := range r.plan.Mounts.Expect {
		if e.Path == m.Point {
			return true
		}
	}
	return false
}

// networkVolumes are the mounts whose late writes a successor may have to wait for.
func (r *Runner) networkVolumes() []string {
	vs := r.plan.Device.volumes()
	known := map[string]bool{}
	for _, p := range r.protected() {
		if r.plan.Device.holds(p) {
			continue
		}
		m, err := mountcheck.Trace(p)
		if err != nil {
			r.log.Warn("cannot trace a path to its mount; it is recorded as a network volume", "path", p, "cause", err)
			m = mountcheck.Mount{Point: p, Source: "unknown"}
		} else if !mountcheck.Network(m.FSType, m.Source, m.Options) {
			continue
		}
		if !known[m.Point] {
			known[m.Point] = true
			vs = append(vs, m.Source+" "+m.Point)
		}
	}
	return vs
}

// writable are the paths that the payload may write to, as far as we were told: mounts that were named, and
// what else we know of.
func (p Plan) writable() (named, others []string) {
	for _, e := range p.Mounts.Expect {
		named = append(named, e.Path)
	}
	if p.Data != "" {
		others = append(others, p.Data)
	}
	if p.State != "" {
		others = append(others, filepath.Dir(p.State)) // it need not exist yet itself
	}
	return named, others
}

// protected are all of them.
func (r *Runner) protected() []string {
	named, others := r.plan.writable()
	return append(others, named...)
}

// adopt takes the granted tenure; its token is the tenure's name towards the guard.
func (r *Runner) adopt(t *lock.Tenure) {
	r.hold.tenure = t
	r.hold.tenant, r.hold.since = uint64(t.Token()), wall()
	r.seen.waited = r.clock().HolderSince(r.seen.at)
	left, why := t.HoldOff()
	r.log.Info("granted", "token", t.Token(), "hold_off", left.String(), "why", why)
	if v := t.Status().Undrained; len(v) > 0 {
		r.log.Warn("late writes of an earlier holder are possible, until a settle was waited for or its node was fenced", "volumes", v)
	}
	if d, ok := t.Place().(lock.Descriptor); ok {
		if err := r.shareWithGuard(d.Descriptor()); err != nil {
			r.log.Warn("the guard does not hold the lock file too; the agent's death alone will free it", "cause", err)
		}
	}
}

// shareWithGuard gives the guard a duplicate of the lock's open file; ours of the duplicate is closed.
func (r *Runner) shareWithGuard(f *os.File) error {
	if f == nil {
		return errors.New("the driver gave no descriptor")
	}
	return errors.Join(r.guard.Keep(f), f.Close())
}

// holdOff starts the tenure's loop: it waits out what is owed, and its first acknowledged `running`
// heartbeat arrives as Leased.
func (r *Runner) holdOff() {
	r.hold.tenure.SetDomain(recordDomain(r.domain.info))
	r.hold.tenure.Begin(lock.Notify{
		Lease: func(l lock.Lease) { r.post(message{event: Leased, lease: l}) },
		Lost: func(err error) {
			r.post(message{event: LeaseLost, code: lostCode(err), reason: err.Error()})
		},
		Beat: r.seen.beat,
	})
}

// recordDomain is what a successor on this boot needs to see that the kill domain is empty; nil where the
// domain has no identity of its own.
func recordDomain(d supervise.Domain) *lock.Domain {
	rec := lock.Domain{PIDNS: d.PIDNamespace}
	if rec.PIDNS != 0 {
		rec.PIDNSCreator = inode("/proc/self/ns/pid")
	}
	if d.Mode == "cgroup2" {
		rec.CgroupID, rec.CgroupNS = inode(d.Cgroup), inode("/proc/self/ns/cgroup")
		rec.Cgroup = strings.TrimPrefix(strings.TrimPrefix(d.Cgroup, "/sys/fs/cgroup"), "/unified")
	}
	if rec.PIDNS == 0 && (rec.CgroupID == 0 || rec.CgroupNS == 0) {
		return nil
	}
	return &rec
}

// inode is 0 where it cannot be told: the shortcut is then not taken.
func inode(path string) uint64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return st.Ino
}

// extend passes an acknowledged heartbeat on to the guard, through the loop, so that a hung decision
// extends nothing.
func (r *Runner) extend(l lock.Lease) {
	first := r.hold.lease == lock.Lease{}
	r.hold.lease = l
	if first {
		r.log.Info("the lease runs", "hold_off_ended", r.hold.tenure.Status().HoldOffWhy)
		r.arm()
	}
	if r.domain.gone || r.hold.lost { // nothing extends after a loss, whoever told of it (E1)
		return
	}
	if err := r.guard.Lease(supervise.Lease{Tenure: r.hold.tenant, Kill: l.Kill}); err != nil {
		r.log.Debug("the guard did not take the lease", "cause", err)
	}
}

// recheck looks at the mounts again now that the lease runs, and then at what must be known of them at the end.
func (r *Runner) recheck() {
	r.bringUp(func() {
		r.next(func(ctx context.Context) (func(), message) {
			if m := r.mountsRight(ctx); m.event != Done {
				return nil, m
			}
			return r.capture, message{}
		})
	})
}

// lostCode is the code of a loss: a tenure that never got a lease has lost none.
func lostCode(err error) int {
	for _, never := range []error{lock.ErrCredentials, lock.ErrConfig, lock.ErrUnreachable} {
		if errors.Is(err, never) {
			return LockCode(never)
		}
	}
	return exit.Lost
}

// LockCode maps what the lock package says to an exit code.
func LockCode(err error) int {
	for _, c := range []struct {
		err  error
		code int
	}{
		{lock.ErrLost, exit.Lost}, {lock.ErrCredentials, exit.Credentials}, {lock.ErrConfig, exit.Config},
		{lock.ErrBadRecord, exit.Config}, {lock.ErrTokenBack, exit.Config}, {lock.ErrUndrained, exit.Mount},
		{lock.ErrHeld, exit.Held}, {lock.ErrUnreachable, exit.Unreachable},
	} {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return exit.Internal
}
