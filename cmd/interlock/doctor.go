package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/lock"
	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/restore"
	"github.com/interlock-run/interlock/supervise"
)

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name: "doctor", Usage: "check everything that a run needs on this host, one line each with the way out",
		Flags: append(configFlags(), jsonFlag()), Action: doctor,
	}
}

// A checkup is one line of doctor.
type checkup struct {
	Level string `json:"level"` // ok, warn, fail
	Topic string `json:"topic"`
	What  string `json:"what"`
	Do    string `json:"do,omitempty"`
	code  int    // exit code if it fails
}

// doctorBudget bounds each topic: a doctor that hangs helps nobody.
const doctorBudget = 15 * time.Second

func doctor(c *cli.Context) error {
	if err := noCommand(c); err != nil {
		return err
	}
	cfg, warnings, err := loadConfigWith(c)
	if err != nil {
		return err
	}
	var all []checkup
	for _, w := range warnings {
		all = append(all, checkup{Level: "warn", Topic: "config", What: w})
	}
	environ := invocationOf(c).environ
	all = append(all, killModes(cfg)...)
	all = append(all, lockService(c.Context, cfg)...)
	all = append(all, deviceNow(cfg)...)
	all = append(all, mountsNow(c.Context, cfg, environ)...)
	all = append(all, storeNow(c.Context, cfg, environ)...)
	all = append(all, cacheNow(c.Context, cfg)...)
	all = append(all, endingNow(cfg)...)
	all = append(all, fencingNow(cfg, environ)...)
	all = append(all, limits()...)
	for _, f := range around(cfg, environ, os.Getpid()) {
		all = append(all, checkup{Level: "warn", Topic: f.Topic, What: f.What, Do: f.Do})
	}
	if c.Bool("json") {
		if err := writeJSON(c, all); err != nil {
			return err
		}
	} else if err := printCheckups(c.App.Writer, all); err != nil {
		return err
	}
	for _, line := range all {
		if line.Level == "fail" {
			return exit.Status(line.code)
		}
	}
	return nil
}

func printCheckups(out io.Writer, all []checkup) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	for _, l := range all {
		do := ""
		if l.Do != "" {
			do = " -> " + l.Do
		}
		fmt.Fprintf(w, "%s\t%s\t%s%s\n", l.Level, l.Topic, l.What, do)
	}
	return w.Flush()
}

// killModes tells which way of killing would be in force here, and what it cannot catch.
func killModes(cfg config.Config) []checkup {
	var all []checkup
	best := true
	for _, m := range supervise.DescribeModes() {
		l := checkup{Level: "ok", Topic: "kill mode", What: fmt.Sprintf("%s: not available: %s", m.Mode, m.Why), code: exit.Config}
		if m.Available {
			l.What = fmt.Sprintf("%s: available; cannot catch: %s", m.Mode, m.Misses)
			if best && m.Mode == supervise.ModeSubreaper {
				l.Level, l.Do = "warn", "run as PID 1 of a container, allow a PID namespace, or delegate a cgroup: a subreaper's proof of death ends with the guard"
			}
			best = false
		}
		all = append(all, l)
	}
	return all
}

func lockService(ctx context.Context, cfg config.Config) []checkup {
	if cfg.Lock.URL == "" {
		return []checkup{{Level: "warn", Topic: "lock", What: "no lock given", Do: "give --lock to check the lock service"}}
	}
	ctx, cancel := context.WithTimeout(ctx, doctorBudget)
	defer cancel()
	d, err := openDriver(ctx, cfg, newLogger(config.Log{Level: "error"}, io.Discard))
	if err != nil {
		return []checkup{{Level: "fail", Topic: "lock", What: err.Error(), Do: "correct the lock's URL, credentials or certificates", code: exit.Code(err)}}
	}
	defer d.Close()
	var all []checkup
	for _, x := range d.Diagnose(ctx) {
		all = append(all, checkup{Level: x.Level, Topic: "lock", What: x.What, Do: x.Do, code: exit.Unreachable})
	}
	return append(all, lockRecord(ctx, d, cfg)...)
}

// lockRecord judges the state record as a contender would.
func lockRecord(ctx context.Context, d lock.Driver, cfg config.Config) []checkup {
	v, err := d.View(ctx)
	if err != nil {
		return nil // Diagnose has said it
	}
	for _, w := range v.Queue {
		if w.Foreign && !cfg.Lock.ForeignPeers {
			return []checkup{{Level: "fail", Topic: "lock", What: lock.ForeignAhead(w).Error(), Do: "see docs/locks.md, Foreign peers", code: exit.Config}}
		}
	}
	if !v.Record.Exists() {
		if strings.HasPrefix(cfg.Lock.URL, "file:") { // the lock file and its record are made in one step
			return []checkup{{Level: "ok", Topic: "lock", What: "no state record: a first start waits the hold only if a claim lies in the state directory"}}
		}
		return []checkup{{Level: "warn", Topic: "lock", What: "no state record: a first start waits the hold", Do: "`interlock lock init`, if nobody ever ran"}}
	}
	r, err := lock.DecodeRecord(v.Record.Data, lockTiming(cfg.Timing))
	if err != nil {
		return []checkup{{Level: "fail", Topic: "lock", What: err.Error(), Do: "see `interlock lock show`", code: exit.Config}}
	}
	return []checkup{{Level: "ok", Topic: "lock", What: fmt.Sprintf("state record: %s by %s, token %s", r.Phase, r.Holder, r.Token)}}
}

func mountsNow(ctx context.Context, cfg config.Config, environ []string) []checkup {
	if cfg.Storage.Data == "" && len(cfg.Storage.Mounts) == 0 && !cfg.Storage.Device.Wanted() {
		return []checkup{{Level: "warn", Topic: "mount", What: "neither --data nor --mount given", Do: "give them to check the storage"}}
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.Budgets.Mount)
	defer cancel()
	at, err := storagePlan(cfg, environ, newLogger(config.Log{Level: "error"}, io.Discard))
	if err != nil {
		return []checkup{{Level: "fail", Topic: "mount", What: err.Error(), code: exit.Code(err)}}
	}
	if cfg.Storage.Device.Wanted() {
		at.mounts = devicePlan(cfg, nil).Others(at.mounts)
	}
	var all []checkup
	for _, f := range mountcheck.Look(ctx, at.mounts) {
		l := checkup{Level: "ok", Topic: "mount", What: fmt.Sprintf("%s: %s %s", f.Path, f.Kind, f.Detail), Do: f.Do, code: exit.Mount}
		switch {
		case f.Kind == mountcheck.NoData:
			l.Level, l.code = "fail", exit.Restore
		case f.Fatal():
			l.Level = "fail"
		case f.Kind != mountcheck.OK:
			l.Level = "warn"
		}
		all = append(all, l)
	}
	sound := !slices.ContainsFunc(all, func(l checkup) bool { return l.Level != "ok" })
	all = append(all, outlooks(cfg, at.mounts, environ)...)
	if data := cfg.Storage.Data; sound && data != "" && !onDevice(cfg.Storage.Device, data) {
		if why := restore.Inspect(data, at.state, 0).Unusable(); why != "" {
			all = append(all, checkup{Level: "fail", Topic: "data", What: why, Do: "correct --data or --state-dir, or what lies there", code: exit.Restore})
		}
	}
	if at.state != "" && !onDevice(cfg.Storage.Device, at.state) {
		all = append(all, stateNow(at.state, sound))
	}
	if at.fleeting {
		f := fleetingState(at.state)
		all = append(all, checkup{Level: "warn", Topic: f.Topic, What: f.What, Do: f.Do})
	}
	return all
}

// stateNow says where claim and state file go, and whether a run of this user could write there: an NFS export
// with root_squash refuses root. A place on storage that is not sound is not touched.
func stateNow(dir string, sound bool) checkup {
	l := checkup{Level: "ok", Topic: "mount", What: "claim and state file go to " + dir}
	if sound && (cannotMake(dir) || refused(dir)) {
		l.Level, l.code = "fail", exit.Mount
		l.What += fmt.Sprintf(", where uid %d may not write", unix.Geteuid())
		l.Do = "run interlock as a user who may, or give it access; an NFS export with root_squash refuses root"
	}
	return l
}

// leastFiles is what a run needs beyond the payload's own: sockets, pipes, probes.
const leastFiles = 256

func limits() []checkup {
	var all []checkup
	for _, l := range []struct {
		name  string
		which int
		least uint64
	}{{"open files", unix.RLIMIT_NOFILE, leastFiles}, {"processes", unix.RLIMIT_NPROC, 64}} {
		var r unix.Rlimit
		if err := unix.Getrlimit(l.which, &r); err != nil {
			all = append(all, checkup{Level: "warn", Topic: "limits", What: fmt.Sprintf("%s: cannot be read: %v", l.name, err)})
			continue
		}
		line := checkup{Level: "ok", Topic: "limits", What: fmt.Sprintf("%s: %s", l.name, limitText(r.Cur))}
		if r.Cur < l.least {
			line.Level, line.Do = "warn", fmt.Sprintf("raise it to %d or more (ulimit, LimitNOFILE=, LimitNPROC=)", l.least)
		}
		all = append(all, line)
	}
	return all
}

func limitText(n uint64) string {
	if n == unix.RLIM_INFINITY {
		return "unlimited"
	}
	return fmt.Sprint(n)
}
