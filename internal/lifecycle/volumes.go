package lifecycle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/mountcheck/drain"
	"github.com/interlock-run/interlock/mountcheck/rescue"
)

// A volume is a mount that the payload can write to, as it was when it was found right.
type volume struct {
	path    string // where it is synced
	mount   mountcheck.Mount
	named   bool   // by --mount
	device  bool   // of ours: brought up before, taken down at the end
	record  string // its name on record; empty where its writes end on this machine
	local   bool
	outlook drain.Verdict // what its end can come to
	quiet   quiet         // nil: nobody can tell whether it is drained
	levers  []rescue.Lever
	puller  levers // nil: there is nothing to pull
	end     volumeEnd
}

// A volumeEnd is how far the end of one volume is.
type volumeEnd struct {
	syncing bool
	synced  bool
	cause   error // of a sync that failed
	lost    bool  // it is not there any more, or not the one that was
	broken  bool  // by a lever
	useless bool  // by that lever, surely and for good
	hung    bool  // so did one of its levers
	verdict drain.Verdict
	earlier bool // so is what payloads before had sent
}

// capture looks at all that must be known of the volumes for the end, right after they were found right and
// before anything writes to them. It is not repeated: a mount that changes while the payload runs is lost, and
// what connections a server or a daemon has by then is looked at again with each question. A look that fails
// refuses nothing: the volume is then released as dead, and has no lever.
func (r *Runner) capture() {
	vs, budget, g := r.volumes(), r.plan.Budgets.Mount, r.ground
	r.besideAlways(func(ctx context.Context) message {
		ctx, cancel := context.WithTimeout(ctx, budget)
		defer cancel()
		for _, v := range vs {
			if err := g.capture(ctx, v, r.exportOf(v)); err != nil {
				r.log.Warn("not all can be told or freed at the end", "volume", v.path, "cause", err)
			}
		}
		return message{then: func() { r.captured(vs) }}
	})
}

// captured goes on with the phase, once the record names what can be written to over a network.
func (r *Runner) captured(vs []*volume) {
	r.domain.drain.volumes, r.domain.drain.locked = vs, rescue.Privileged()
	for _, v := range vs {
		v.tell(r.log, r.domain.drain.locked)
	}
	if r.phase != Mounting {
		return
	}
	names := slices.Clone(r.plan.Lock.Options.Volumes)
	for _, v := range vs {
		if v.record != "" && !slices.Contains(names, v.record) {
			names = append(names, v.record)
		}
	}
	if len(names) == len(r.plan.Lock.Options.Volumes) {
		r.handle(message{event: Done})
		return
	}
	r.hold.tenure.SetVolumes(names)
	r.next(func(ctx context.Context) (func(), message) {
		_ = r.hold.tenure.Recorded(ctx) // it ends with the phase: a lock that takes no writes ends that
		return nil, message{event: Done}
	})
}

// volumes are the mounts that hold what is protected, each once, by the table as it is.
func (r *Runner) volumes() []*volume {
	var all []*volume
	named, others := r.ground.paths(r.plan)
	for i, path := range slices.Concat(named, others) {
		m, err := r.ground.trace(path)
		if err != nil {
			r.log.Warn("cannot trace a path to its mount", "path", path, "cause", err)
			m = mountcheck.Mount{Point: path, Source: "unknown"}
		}
		if slices.ContainsFunc(all, func(v *volume) bool { return v.mount.ID == m.ID && v.mount.Point == m.Point }) {
			continue
		}
		v := &volume{path: path, mount: m, named: i < len(named), device: r.plan.Device.there() && m.Point == r.plan.Device.Errand.Device.Point}
		if v.device {
			v.record = r.plan.Device.Volume
		}
		v.outlook = drain.Verdict{Path: path, State: drain.Unknown, Why: "it was not looked at"}
		all = append(all, v)
	}
	return all
}

// exportOf is where our own network block device is connected to.
func (r *Runner) exportOf(v *volume) netip.AddrPort {
	if !v.device {
		return netip.AddrPort{}
	}
	addr, _ := netip.ParseAddrPort(r.domain.drain.device.found.Export) // not known: its process is looked for
	return addr
}

// capture waits for the look no longer than the context: a process whose table of files hangs may hold it up.
func (g ground) capture(ctx context.Context, v *volume, export netip.AddrPort) error {
	got := make(chan volume, 1)
	errs := make(chan error, 1)
	go func(v volume) { // joined through errs; beyond the limit only while the kernel holds it
		err := g.look(&v, export)
		got <- v
		errs <- err
	}(*v)
	select {
	case err := <-errs:
		*v = <-got
		return err
	case <-ctx.Done():
		v.name()
		return fmt.Errorf("the look was not over within its budget: %w", context.Cause(ctx))
	}
}

func (g ground) look(v *volume, export netip.AddrPort) error {
	q, err := g.drain(drain.Volume{Path: v.path, Export: export, Ours: v.device})
	if err == nil {
		v.quiet, v.local = q, q.Local(v.path)
		if all := q.Outlook(); len(all) == 1 {
			v.outlook = all[0]
		}
	} else {
		v.outlook.Why = oneLine(err)
	}
	v.name()
	ls, puller, pullErr := g.rescue(v.path)
	if pullErr == nil {
		v.levers, v.puller = ls, puller
	}
	return errors.Join(err, pullErr)
}

// name is what the record calls it: what is not known to be local is on a network. A pool of disks does not show
// them, and is what its type says.
func (v *volume) name() {
	pool := v.mount.FSType == "zfs" || v.mount.FSType == "bcachefs"
	if v.device || v.local || pool && !mountcheck.Network(v.mount.FSType, v.mount.Source, v.mount.Options) {
		return
	}
	v.record = v.mount.Source + " " + v.mount.Point
}

// closeVolumes lets go of what the looks hold.
func (r *Runner) closeVolumes() {
	for _, v := range r.domain.drain.volumes {
		var errs []error
		if v.quiet != nil {
			errs = append(errs, v.quiet.Close())
		}
		if v.puller != nil {
			errs = append(errs, v.puller.Close())
		}
		if err := errors.Join(errs...); err != nil {
			r.log.Debug("closing what is known of a volume", "volume", v.path, "cause", err)
		}
	}
}

// why is one line about what keeps it from being drained.
func (v *volume) why() string {
	switch {
	case v.end.syncing:
		return fmt.Sprintf("%s: the sync has not returned", v.path)
	case v.end.lost:
		return fmt.Sprintf("%s: the mount is lost: %s", v.path, cmp.Or(v.end.verdict.Why, string(v.end.verdict.State)))
	case v.end.cause != nil:
		return fmt.Sprintf("%s: %s (%s)", v.path, v.end.verdict.Why, oneLine(v.end.cause))
	}
	return fmt.Sprintf("%s: %s", v.path, v.end.verdict.Why)
}
