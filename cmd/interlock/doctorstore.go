package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/restore"
	"github.com/interlock-run/interlock/restore/pull"
)

// storeNow asks the snapshot store what `store doctor` asks, and what a run with this lock would want of it.
// It hangs where a directory does, so doctor gives it a time.
func storeNow(ctx context.Context, cfg config.Config, environ []string) []checkup {
	if cfg.Store.URL == "" {
		return nil
	}
	answers := make(chan []checkup, 1)
	go func() { answers <- askStore(ctx, cfg, environ) }()
	limit := time.NewTimer(storeDoctorBudget)
	defer limit.Stop()
	select {
	case all := <-answers:
		return all
	case <-limit.C:
		return []checkup{{Level: "fail", Topic: "store", What: cfg.Store.URL + " does not answer", Do: "check the way to it", code: exit.Unreachable}}
	}
}

func askStore(ctx context.Context, cfg config.Config, environ []string) []checkup {
	st, err := openStore(cfg.Store)
	if err != nil {
		return []checkup{{Level: "fail", Topic: "store", What: oneLine(err), Do: wayOut(err), code: exit.Code(err)}}
	}
	d := &depot{cfg: cfg, store: st, log: newLogger(config.Log{Level: "error"}, io.Discard), environ: environ}
	var all []checkup
	for _, topic := range []func(context.Context) ([]checkup, bool){
		d.checkRights, func(ctx context.Context) ([]checkup, bool) { return d.checkFence(ctx, false) }, d.checkRepository, d.checkRun,
	} {
		lines, goOn := topic(ctx)
		all = append(all, lines...)
		if !goOn {
			break
		}
	}
	for i := range all {
		all[i].Topic = "store " + all[i].Topic
		if d.repo == nil && all[i].Topic == "store repository" {
			all[i].Level, all[i].code = "fail", exit.Config // a run makes none by itself
		}
	}
	if err := st.Close(); err != nil {
		d.log.Debug("closing the store", "cause", err)
	}
	return all
}

// checkRun is what the run with this lock would meet.
func (d *depot) checkRun(ctx context.Context) ([]checkup, bool) {
	cat, err := d.repo.Catalog(ctx)
	if err != nil {
		return []checkup{failed("catalog", err, "restore catalog/ from a copy of the store: docs/snapshot-format.md")}, false
	}
	return append([]checkup{d.ours(&cat), d.fresh(&cat, time.Now())}, d.restorable(&cat)...), true
}

// restorable tells what a start on an empty directory would meet: that is a bad time to find it out.
func (d *depot) restorable(cat *snapshot.Catalog) []checkup {
	r := d.cfg.Restore
	if r.From != config.FromStore || r.When == restore.WhenNever || len(cat.Live) == 0 {
		return nil
	}
	line := checkup{Level: "fail", Topic: "restore", code: exit.Restore}
	s, err := pull.Select(*cat, r.At)
	what := fmt.Sprintf("a start on an empty directory would restore %s", s.ID)
	switch {
	case err != nil:
		line.What, line.code, line.Do = "a start on an empty directory would end: "+oneLine(err), exit.Code(err), "take a new backup, or correct restore.at"
	case !d.repo.Readable():
		line.What, line.code = what+", which is encrypted, and cannot read it", exit.Credentials
		line.Do = "name a file with an identity of its recipients in store.identity_file"
	case pull.NeedsCommand(s.About) && len(r.Exec) == 0:
		line.What = fmt.Sprintf("%s, the output of a command (preset %q), and has none that loads it", what, s.About.Preset)
		line.Do = "name one in restore.exec, or publish dumps into a repository of their own"
	default:
		line.Level, line.What, line.code = "ok", what, 0
	}
	return []checkup{line}
}

// ours: numbers of two locks cannot be compared.
func (d *depot) ours(cat *snapshot.Catalog) checkup {
	scope := scopeOf(d.repo, cat)
	switch mine := snapshotScope(d.cfg.Lock.URL); {
	case d.cfg.Lock.URL == "":
		return checkup{Level: "warn", Topic: "scope", What: "no lock given", Do: "give --lock to check whose repository it is"}
	case scope == (snapshot.Scope{}):
		return checkup{Level: "ok", Topic: "scope", What: "no lock's yet: the first run that claims it makes it its own"}
	case scope != mine:
		return checkup{Level: "fail", Topic: "scope", What: fmt.Sprintf("the repository belongs to the %s lock %s, ours is the %s lock %s", scope.Kind, scope.Lock, mine.Kind, mine.Lock),
			Do: "give each lock a repository of its own", code: exit.Config}
	}
	return checkup{Level: "ok", Topic: "scope", What: fmt.Sprintf("ours, the %s lock %s's; claimed with token %s", scope.Kind, scope.Lock, cat.Token)}
}

// fresh compares the age of the newest snapshot with the schedule: two slots may pass without an alarm.
func (d *depot) fresh(cat *snapshot.Catalog, now time.Time) checkup {
	newest, any := cat.Newest()
	if !any {
		return checkup{Level: "warn", Topic: "snapshots", What: "none yet", Do: "a start with an empty directory needs restore.on_empty start"}
	}
	l := checkup{Level: "ok", Topic: "snapshots", What: fmt.Sprintf("%d, the newest %s old", len(cat.Live), age(now.Sub(newest.Time).Seconds()))}
	if d.cfg.Backup.Schedule == "" {
		return l
	}
	s, err := backupSchedule(d.cfg)
	if err != nil {
		return failed("snapshots", err, "correct backup.schedule")
	}
	if due := s.Next(s.Next(newest.Time)); !due.IsZero() && due.Before(now) {
		l.Level, l.Do = "warn", "see why: the log of the run, interlock_backups_total, `interlock status`"
		l.What += fmt.Sprintf(", and backup.schedule %q wanted at least two since", d.cfg.Backup.Schedule)
	}
	return l
}
