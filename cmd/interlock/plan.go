package main

import (
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/lifecycle"
	"github.com/interlock-run/interlock/internal/notify"
	"github.com/interlock-run/interlock/lock"
	"github.com/interlock-run/interlock/lock/file"
	"github.com/interlock-run/interlock/supervise"
)

// makePlan turns the configuration into what the run follows, and tells what was found around it. The lock's
// driver is filled in later.
func makePlan(cfg config.Config, inv invocation, log *slog.Logger) (lifecycle.Plan, []finding, error) {
	cred, err := credential(cfg.Process.User)
	if err != nil {
		return lifecycle.Plan{}, nil, exit.With(exit.Config, err)
	}
	boot, err := bootID()
	if err != nil {
		return lifecycle.Plan{}, nil, exit.With(exit.Internal, err)
	}
	at, err := storagePlan(cfg, inv.environ, log)
	if err != nil {
		return lifecycle.Plan{}, nil, err
	}
	store, err := storePlan(cfg, inv.environ)
	if err != nil {
		return lifecycle.Plan{}, nil, err
	}
	fencing, err := fencePlan(cfg, inv.environ, store.Errand.Secrets)
	if err != nil {
		return lifecycle.Plan{}, nil, err
	}
	stop, err := stopPlan(cfg)
	if err != nil {
		return lifecycle.Plan{}, nil, err
	}
	p := lifecycle.Plan{
		Lock: lockPlan(cfg, boot), Mounts: at.mounts, Data: cfg.Storage.Data, State: at.state,
		Restore: lifecycle.RestorePlan{Exec: cfg.Restore.Exec, When: cfg.Restore.When, Timeout: cfg.Restore.Timeout},
		Store:   store, Device: devicePlan(cfg, store.Errand.Secrets),
		Payload: lifecycle.PayloadPlan{ArgvFrom: inv.commandAt, Name: cfg.Process.Command[0], Credential: cred, Hooks: hooks(cfg)},
		Stop:    stop,
		Budgets: lifecycle.Budgets(cfg.Budgets),
		Guard: supervise.Settings{
			Isolate: cfg.Process.Isolate, Grace: cfg.Timing.Grace, KillBudget: cfg.Timing.KillBudget, Scrub: append(notify.Variables(), store.Errand.Secrets...),
			ReasonFile: cfg.Health.ReasonFile, ReasonCreate: cfg.Health.ReasonFile != config.DefaultReasonFile,
		},
	}
	p.Lock.Fence = fencing
	if p.Lock.Watchdog, err = watchdogPlan(cfg); err != nil {
		return lifecycle.Plan{}, nil, err
	}
	if err := addWarm(&p, cfg, log); err != nil {
		return lifecycle.Plan{}, nil, err
	}
	found := around(cfg, inv.environ, os.Getppid()) // our own parent is the guard
	if at.fleeting {                                // no claim there proves nothing (T3): a task before this one had another place
		p.Lock.OneHost = false
		found = append(found, fleetingState(at.state))
	}
	return p, found, nil
}

func lockPlan(cfg config.Config, boot string) lifecycle.LockPlan {
	p := lifecycle.LockPlan{
		Options: lock.Options{
			Timing: lockTiming(cfg.Timing), Epoch: cfg.Lock.TokenEpoch, Holder: cfg.Holder, Node: cfg.Fence.Node,
			BootID: boot, RequireDrained: cfg.Fence.RequireDrained, Foreign: cfg.Lock.ForeignPeers, Clock: clock.Now,
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

func hooks(cfg config.Config) lifecycle.Hooks {
	return lifecycle.Hooks{
		PreStart: lifecycle.Hook(cfg.Hooks.PreStart), PostStart: lifecycle.Hook(cfg.Hooks.PostStart),
		PreStop: lifecycle.Hook(cfg.Hooks.PreStop), PostStop: lifecycle.Hook(cfg.Hooks.PostStop),
	}
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
