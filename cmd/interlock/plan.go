package main

import (
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/lifecycle"
	"github.com/interlock-run/interlock/internal/notify"
	"github.com/interlock-run/interlock/lock"
	"github.com/interlock-run/interlock/lock/file"
	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/restore"
	"github.com/interlock-run/interlock/supervise"
)

// makePlan turns the configuration into what the run follows. The lock's driver is filled in later.
func makePlan(cfg config.Config, inv invocation, log *slog.Logger) (lifecycle.Plan, error) {
	cred, err := credential(cfg.Process.User)
	if err != nil {
		return lifecycle.Plan{}, exit.With(exit.Config, err)
	}
	boot, err := bootID()
	if err != nil {
		return lifecycle.Plan{}, exit.With(exit.Internal, err)
	}
	mounts, state, err := storagePlan(cfg, log)
	if err != nil {
		return lifecycle.Plan{}, err
	}
	sig, _ := cfg.Process.Stop.Number()
	p := lifecycle.Plan{
		Lock: lockPlan(cfg, boot), Mounts: mounts, Data: cfg.Storage.Data, State: state,
		Restore: lifecycle.RestorePlan{Exec: cfg.Restore.Exec, When: cfg.Restore.When, Timeout: cfg.Restore.Timeout},
		Hooks: lifecycle.Hooks{
			PreStart: lifecycle.Hook(cfg.Hooks.PreStart), PostStart: lifecycle.Hook(cfg.Hooks.PostStart),
			PreStop: lifecycle.Hook(cfg.Hooks.PreStop), PostStop: lifecycle.Hook(cfg.Hooks.PostStop),
		},
		Payload: lifecycle.PayloadPlan{ArgvFrom: inv.commandAt, Name: cfg.Process.Command[0], Credential: cred},
		Stop:    lifecycle.StopPlan{Signal: sig, Grace: cfg.Process.Stop.Grace, LossGrace: cfg.Timing.Grace},
		Budgets: lifecycle.Budgets(cfg.Budgets),
		Guard: supervise.Settings{
			Isolate: cfg.Process.Isolate, Grace: cfg.Timing.Grace, KillBudget: cfg.Timing.KillBudget, Scrub: notify.Variables(),
			ReasonFile: cfg.Health.ReasonFile, ReasonCreate: cfg.Health.ReasonFile != config.DefaultReasonFile,
		},
	}
	return p, nil
}

func lockPlan(cfg config.Config, boot string) lifecycle.LockPlan {
	p := lifecycle.LockPlan{
		Options: lock.Options{
			Timing: lockTiming(cfg.Timing), Epoch: cfg.Lock.TokenEpoch, Holder: cfg.Holder, Node: cfg.Fence.Node,
			BootID: boot, RequireDrained: cfg.Fence.RequireDrained, Clock: clock.Now,
		},
		Wait: lock.Forever, Name: lockName(cfg.Lock.URL), Scope: lockScope(cfg.Lock.URL), OneHost: strings.HasPrefix(cfg.Lock.URL, "file:"),
	}
	if d, bounded := cfg.Lock.WaitLimit(); bounded {
		p.Wait = d
	}
	if p.OneHost {
		p.Options.ProvenEmpty = func(bootID string, d lock.Domain) (bool, string) {
			return file.ProvenEmpty(file.Domain{
				BootID: bootID, CgroupNS: d.CgroupNS, CgroupID: d.CgroupID, CgroupPath: d.Cgroup, PIDNS: d.PIDNS, PIDNSCreator: d.PIDNSCreator,
			})
		}
	}
	return p
}

// storagePlan is which mounts to watch, and where our own files lie.
func storagePlan(cfg config.Config, log *slog.Logger) (mountcheck.Config, string, error) {
	m := mountcheck.Config{
		Data: cfg.Storage.Data, Period: cfg.Storage.Probe.Period, Timeout: cfg.Storage.Probe.Timeout, FailAfter: config.DefaultFailAfter,
		Log: func(msg string, args ...any) { log.Debug(msg, args...) },
	}
	for _, c := range cfg.Storage.Mounts {
		require, forbid, err := mountcheck.ParseOpts(c.Opts)
		if err != nil {
			return m, "", exit.With(exit.Config, err)
		}
		m.Expect = append(m.Expect, mountcheck.Expect{
			Path: c.Path, FSType: c.FSType, Source: c.Source, Require: require, Forbid: forbid,
			Volume: c.Volume, FailAfter: c.FailAfter,
		})
	}
	state, err := stateDir(cfg, log)
	m.StateDir = state
	return m, state, err
}

// stateDir is where claim and state file lie; none where there is no data directory and none was named.
func stateDir(cfg config.Config, log *slog.Logger) (string, error) {
	data, given := cfg.Storage.Data, cfg.Storage.StateDir
	if data == "" {
		return given, nil
	}
	m, err := mountcheck.Trace(data)
	if err != nil {
		return "", exit.Withf(exit.Restore, "cannot tell which mount holds %s: %w: check that each directory of the path may be entered", data, err)
	}
	named := slices.ContainsFunc(cfg.Storage.Mounts, func(e config.Mount) bool { return e.Path == m.Point })
	if given != "" {
		return given, checkStateDir(given, data, m, named)
	}
	// Beside a data directory that is itself a mountpoint is another filesystem, in a container one that
	// is new at each start: what is known of an unfinished restore would not be there.
	dir, warning := restore.StateDirFor(data, m.Point, named || m.Point == data)
	if warning != "" {
		log.Warn(warning)
	}
	return dir, nil
}

// checkStateDir refuses a state directory that was set by hand in a place where it cannot do its work.
// That it lies on the mount is compared by mounts, not by text: there may be symbolic links in the path.
func checkStateDir(dir, data string, m mountcheck.Mount, named bool) error {
	on, err := mountcheck.Trace(dir)
	if err != nil {
		return exit.Withf(exit.Mount, "cannot tell which mount holds the state directory %s: %w: check that each directory of the path may be entered", dir, err)
	}
	mounted := named && on.Point != m.Point
	if dir == filepath.Join(data, restore.StateDirName) {
		mounted = m.Point == data
	}
	return exit.With(exit.Config, restore.CheckStateDir(dir, data, m.Point, mounted))
}

func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("cannot read the boot id: %w: is /proc mounted?", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// credential is the user to drop to before exec: UID[:GID], as numbers or names. A number needs no entry
// in the passwd file.
func credential(spec string) (*supervise.Credential, error) {
	if spec == "" {
		return nil, nil
	}
	name, group, grouped := strings.Cut(spec, ":")
	cred := &supervise.Credential{}
	if uid, err := strconv.ParseUint(name, 10, 32); err == nil {
		cred.UID, cred.GID = uint32(uid), uint32(uid)
		if u, err := user.LookupId(name); err == nil {
			fromPasswd(cred, u)
		}
	} else {
		u, err := user.Lookup(name)
		if err != nil {
			return nil, fmt.Errorf("user %q: no such user here: expected a name of the local passwd file, or a number", name)
		}
		fromPasswd(cred, u)
	}
	if !grouped {
		return cred, nil
	}
	gid, err := strconv.ParseUint(group, 10, 32)
	if err != nil {
		g, lerr := user.LookupGroup(group)
		if lerr != nil {
			return nil, fmt.Errorf("group %q: no such group here: expected a name of the local group file, or a number", group)
		}
		gid, err = strconv.ParseUint(g.Gid, 10, 32)
	}
	cred.GID = uint32(gid)
	return cred, err
}

// fromPasswd takes ids and supplementary groups of a known user, as init-groups does.
func fromPasswd(cred *supervise.Credential, u *user.User) {
	if id, err := strconv.ParseUint(u.Uid, 10, 32); err == nil {
		cred.UID = uint32(id)
	}
	if id, err := strconv.ParseUint(u.Gid, 10, 32); err == nil {
		cred.GID = uint32(id)
	}
	ids, err := u.GroupIds()
	if err != nil {
		return
	}
	for _, g := range ids {
		if id, err := strconv.ParseUint(g, 10, 32); err == nil {
			cred.Groups = append(cred.Groups, uint32(id))
		}
	}
}
