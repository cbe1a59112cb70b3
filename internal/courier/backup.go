package courier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/backup"
	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/internal/store"
	"github.com/interlock-run/interlock/internal/tempdir"
	"github.com/interlock-run/interlock/restore"
)

// backup takes a snapshot, publishes it under our token, and then removes what retention does not keep.
// What goes wrong with that says nothing against the snapshot.
func (w *courier) backup(ctx context.Context, r Request) (Answer, error) {
	s, err := w.reached(ctx, r, answers)
	if err != nil {
		return Answer{}, err
	}
	defer w.close(s)
	if left := tempdir.Sweep("", scratchPrefix); left != nil {
		w.log.Warn("what a killed backup left stays", "cause", left)
	}
	o := backup.Options{
		Repository: s.repo, Holder: r.Who.holder(), Scratch: r.Place.StateDir, AllowShrink: r.Backup.AllowShrink,
		About: snapshot.About{Holder: r.Who.Holder, Node: r.Who.Node, Release: r.Who.Release}, Progress: &snapshot.Progress{}, Log: w.log,
	}
	stop := w.follow(o.Progress, 0)
	res, err := backup.Take(ctx, w.source(r), o)
	if noRoom(err) {
		res, err = w.elsewhere(ctx, r, o, err)
	}
	stop()
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Catalog: res.Snapshot.Number, Snapshot: res.Snapshot, Warnings: remarks(res)}
	if err := ranOn(r.target()); err != nil {
		a.Warnings = append(a.Warnings, "not recorded that this tenure ran on the data: "+oneLine(err))
	}
	if r.Backup.Keep != (config.Keep{}) {
		a.Dropped, err = tidy(ctx, s, r)
	}
	if err != nil {
		a.Warnings = append(a.Warnings, oneLine(err))
	}
	return a, nil
}

// noRoom tells a state directory that is full from a store that is.
func noRoom(err error) bool {
	return (errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)) && !errors.Is(err, store.ErrFull)
}

// scratchPrefix is how the names of directories begin that stand in for a full state directory.
const scratchPrefix = "interlock-backup-"

// elsewhere takes a backup without the state directory: it lies beside the data, and data that has filled its
// disk is wanted no less than other data.
func (w *courier) elsewhere(ctx context.Context, r Request, o backup.Options, why error) (res backup.Result, err error) {
	other, err := tempdir.Make("", scratchPrefix)
	if err != nil {
		return res, why
	}
	o.Scratch = other.Path
	w.log.Warn("no room in the state directory: the backup begins anew with its list of files elsewhere", "scratch", o.Scratch, "cause", oneLine(why))
	res, err = backup.Take(ctx, w.source(r), o)
	if gone := other.Remove(); gone != nil {
		w.log.Warn("the scratch directory stays", "scratch", o.Scratch, "cause", gone)
	}
	return res, err
}

// ranOn records, now that a snapshot of the data stands under our token, that our tenure ran on it. A run
// without restore.from store has not: to a later start with it our own snapshot would look like that of
// somebody who went on elsewhere, and the data like overtaken. Not before: it says that nothing else is newer.
func ranOn(t restore.Target) error {
	if t.Data == "" || t.StateDir == "" {
		return nil
	}
	l := restore.Inspect(t.Data, t.StateDir, t.Token)
	if !l.Found || l.State.Last.Token == 0 || l.State.Last.Token >= t.Token {
		return nil
	}
	return restore.StartTenure(t)
}

// tidy is retention, and what killed couriers have left in the store.
func tidy(ctx context.Context, s *session, r Request) (dropped int, err error) {
	kept, err := backup.Keep(ctx, s.repo, r.Who.holder(), snapshot.Keep(r.Backup.Keep))
	if err != nil {
		return len(kept.Forgotten), err
	}
	if old := abandoned(kept.Sweep.Current, r.Backup.Timeout, time.Now()); len(old) > 0 {
		_, err = s.repo.Abandon(ctx, r.Who.holder(), old) // collected with the next backup
	}
	if sweeper, is := s.store.(interface {
		Sweep(context.Context) (int, error)
	}); is {
		_, serr := sweeper.Sweep(ctx)
		err = errors.Join(err, serr)
	}
	return len(kept.Forgotten), err
}

// oldest is for how long an upload under our token is left alone that nobody published: whoever borrowed
// the token may be at work on it.
const oldest = 24 * time.Hour

// abandoned are the uploads that are too old to be under way. Were one all the same, it would publish
// nothing, and say so.
func abandoned(current []snapshot.ID, timeout time.Duration, now time.Time) (old []snapshot.ID) {
	const form = "20060102T150405Z"
	for _, id := range current {
		if len(id) < len(form) {
			continue
		}
		began, err := time.Parse(form, string(id[:len(form)]))
		if err == nil && now.Sub(began) > max(oldest, 2*timeout) {
			old = append(old, id)
		}
	}
	return old
}

// remarks is what is to be said of a snapshot that was published all the same.
func remarks(r backup.Result) (all []string) {
	if r.Lacks != "" {
		all = append(all, "not in the snapshot: "+r.Lacks)
	}
	if r.Torn > 0 || r.LeftOut > 0 {
		all = append(all, fmt.Sprintf("%d files changed while they were read, %d were gone", r.Torn, r.LeftOut))
	}
	return all
}

// source is what is backed up. At a stop the service is dead, whatever a running one would need.
func (w *courier) source(r Request) backup.Source {
	src := backup.Source{
		Mode: backup.Mode(r.Backup.Effective()), Preset: r.Backup.Preset, Data: r.Place.Data, Exclude: r.Backup.Exclude,
		Exec: r.Backup.Exec, Freeze: r.Backup.Freeze, Store: store.DirOf(r.Store.URL), Run: backup.Process{Env: w.scrubbed(r), Credential: r.credential()},
	}
	if r.OnStop {
		src.Mode, src.Preset, src.Exec, src.Freeze = backup.Cold, "", nil, nil
	}
	return src
}
