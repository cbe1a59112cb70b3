package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/internal/courier"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/progress"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/internal/store"
	"github.com/interlock-run/interlock/restore"
	"github.com/interlock-run/interlock/restore/pull"
)

func restoreCommand() *cli.Command {
	keys := []named{{key: "data", flag: "data"}, {key: "state_dir", flag: "state-dir"}, {key: "restore.at", flag: "at"},
		{key: "restore.timeout", flag: "timeout"}, {key: "backup.user", flag: "user"}}
	return &cli.Command{
		Name: "restore", Usage: "fill a directory from a snapshot, or pipe a dump into the command after --",
		ArgsUsage: "[-- COMMAND ARGS…]",
		Flags: append(lockedFlags(keys...), jsonFlag(),
			&cli.StringFlag{Name: "to", Usage: "`DIR` to restore into, made if it is missing; without it --data, which must exist"},
			&cli.BoolFlag{Name: "verify", Usage: "read everything again and compare it with the snapshot before it is called whole", DisableDefaultText: true},
			&cli.BoolFlag{Name: "dry-run", Usage: "say what would be restored and why, and how much, and change nothing", DisableDefaultText: true},
			&cli.BoolFlag{Name: "replace", Usage: "give up what is in the directory: equal files are kept, all else is overwritten or removed", DisableDefaultText: true}),
		Action: restoreSnapshot,
	}
}

// restoreView is the result of `restore --json`, and with --dry-run the whole of it.
type restoreView struct {
	Directory string        `json:"directory"`
	Action    string        `json:"action"` // run, resume or replace; none: it was whole already
	Reason    string        `json:"reason"`
	Snapshot  snapshotView  `json:"snapshot,omitzero"`
	Preview   *pull.Preview `json:"preview,omitempty"` // of a dry run
	Result    *pull.Result  `json:"result,omitempty"`
	Took      float64       `json:"took_seconds,omitempty"`
}

func restoreSnapshot(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	return underLock(c, func() error {
		return withDepot(c, func(ctx context.Context, d *depot) error {
			ctx, cancel := context.WithTimeoutCause(ctx, d.cfg.Restore.Timeout, fmt.Errorf("restore not done within %v", d.cfg.Restore.Timeout))
			defer cancel()
			return d.restore(ctx, c)
		})
	})
}

func (d *depot) restore(ctx context.Context, c *cli.Context) error {
	target, err := d.target(c)
	if err == nil && c.String("to") == "" && !c.Bool("dry-run") {
		err = d.unheld(ctx)
	}
	if err != nil {
		return err
	}
	cat, err := d.repo.Catalog(ctx)
	if err != nil {
		return err
	}
	at, err := expand(&cat, d.cfg.Restore.At)
	if err != nil {
		return err
	}
	look := restore.Inspect(target.Data, target.StateDir, 0)
	if done, snap := d.whole(c, look, &cat, at); done && !c.Bool("replace") {
		d.forgetAccount(target.StateDir)
		return printWhole(c, target.Data, snap)
	}
	choice := pull.ChooseAlone(look, pull.Found{Repository: d.repo.ID, Catalog: cat}, at, c.Bool("replace"))
	if err := choice.Err(); err != nil && look.Found && look.State.Phase != restore.PhaseClean {
		return fmt.Errorf("%w (the state directory is %s)", err, target.StateDir)
	} else if err != nil {
		return errors.Join(err, notBegun(target.StateDir))
	}
	job, err := d.job(c, target, choice)
	if err != nil {
		return err
	}
	view := restoreView{Directory: target.Data, Action: string(choice.Action), Reason: choice.Reason, Snapshot: viewOfSnapshot(&choice.Snapshot)}
	if c.Bool("dry-run") {
		return d.preview(ctx, c, job, view)
	}
	if err := d.fill(ctx, c, job, &view); err != nil {
		return err
	}
	return printRestore(c, view)
}

// expand makes the beginning of an ID a whole one.
func expand(cat *snapshot.Catalog, at string) (string, error) {
	if _, err := time.Parse(time.RFC3339, at); err == nil || at == pull.Latest {
		return at, nil
	}
	s, err := pick(cat, at)
	if err != nil && len(at) > 4 && at[4] == '-' { // no ID has that there
		err = exit.Withf(exit.Config, "--at: found %q: expected latest, the ID of a snapshot or its beginning, or a time such as 2026-01-31T12:00:00Z", at)
	}
	return string(s.ID), err
}

// target is where to restore, and where the account of it is kept until it is whole.
func (d *depot) target(c *cli.Context) (restore.Target, error) {
	t := restore.Target{Data: d.cfg.Data, Holder: d.cfg.Holder}
	to := c.String("to")
	if to == "" && t.Data == "" {
		return t, exit.Withf(exit.Config, "no directory to restore into: expected --to DIR, or --data with the service's own")
	}
	var err error
	if to == "" {
		t.StateDir, _, err = stateDir(d.cfg, "", d.log)
		return t, err
	}
	if t.Data, err = filepath.Abs(to); err != nil || t.Data == "/" {
		return t, exit.Withf(exit.Config, "--to %q: expected a directory below /", to)
	}
	if t.StateDir = d.cfg.StateDir; t.StateDir == "" {
		t.StateDir, err = accountFor(t.Data, c.Bool("dry-run"))
	}
	return t, err
}

func (d *depot) job(c *cli.Context, t restore.Target, choice pull.Choice) (pull.Job, error) {
	j := pull.Job{Repo: d.repo, Target: t, Choice: choice, Verify: c.Bool("verify"), Base: pull.Command{Env: d.scrubbed()}}
	cred, err := credential(d.cfg.Backup.User)
	if err != nil {
		return j, exit.With(exit.Config, err)
	}
	if cred != nil {
		j.Base.User = &syscall.Credential{Uid: cred.UID, Gid: cred.GID, Groups: cred.Groups}
	}
	if inv := invocationOf(c); inv.dashed {
		load := j.Base
		load.Argv = inv.command
		j.Load = []pull.Command{load}
	}
	return j, nil
}

func (d *depot) preview(ctx context.Context, c *cli.Context, job pull.Job, view restoreView) error {
	p, err := pull.Look(ctx, job)
	if err != nil {
		return restoreError(err)
	}
	view.Preview = &p
	if c.Bool("json") {
		return writeJSON(c, view)
	}
	_, err = fmt.Fprintf(c.App.Writer, "would %s %s: %s\n%d entries to create, %d to change, %d to remove, %d equal; %s to fetch\n",
		doing(view.Action), view.Directory, view.Reason, p.Create, p.Change, p.Remove, p.Same, progress.Bytes(p.Fetch))
	return err
}

// doing is an action as a verb.
func doing(action string) string {
	if action == string(restore.Run) {
		return "restore into"
	}
	return action
}

// fill restores, and says so while it goes on.
func (d *depot) fill(ctx context.Context, c *cli.Context, job pull.Job, view *restoreView) error {
	began := time.Now()
	w := newWork(c, d, job.Choice.Snapshot.Bytes)
	job.Progress = w.counted
	end := w.begin("restore")
	defer end()
	d.log.Debug("restore", "action", view.Action, "reason", view.Reason)
	r, err := pull.Run(ctx, job)
	end()
	if err != nil {
		return d.whyGone(ctx, job.Choice.Snapshot.ID, d.unfinished(c, job.Target, err))
	}
	view.Result, view.Took = &r, time.Since(began).Seconds()
	if d.ownAccount(c) {
		d.forgetAccount(job.Target.StateDir)
	}
	return nil
}

// whyGone tells a snapshot that retention took from under the restore from a damaged one.
func (d *depot) whyGone(ctx context.Context, id snapshot.ID, err error) error {
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if gone, _ := d.removed(ctx, id); !gone {
		return fmt.Errorf("%w: the store has lost it: `interlock verify --all` tells which snapshots are whole, and --at names one", err)
	}
	return exit.Withf(exit.NoSnapshot, "snapshot %s was removed while it was restored (by retention): the same command goes on with the newest one; `interlock pin` keeps one: %w", id, err)
}

// unfinished says what became of the directory.
func (d *depot) unfinished(c *cli.Context, t restore.Target, err error) error {
	switch l := restore.Inspect(t.Data, t.StateDir, 0); {
	case l.Found && l.State.Phase != restore.PhaseClean:
		err = fmt.Errorf("the restore into %s did not end, and it is not whole: the same command goes on with it: %w", t.Data, err)
	case !l.Found && l.Trouble == "" && d.ownAccount(c): // nothing was begun
		d.forgetAccount(t.StateDir)
	}
	return restoreError(err)
}

func restoreError(err error) error {
	if _, coded := errors.AsType[*exit.Error](err); coded {
		return err
	}
	return exit.With(courier.Code(err, exit.Restore), err)
}

// whole tells that an earlier call restored this very snapshot to its end, and was killed before it had
// removed its account.
func (d *depot) whole(c *cli.Context, l restore.Look, cat *snapshot.Catalog, at string) (bool, snapshot.Snapshot) {
	wanted, err := pull.Select(*cat, at)
	o := l.State.Origin
	mine := err == nil && l.Found && l.Unusable() == "" && l.State.Phase == restore.PhaseClean && o.Repository == d.repo.ID && o.Snapshot == string(wanted.ID)
	return mine && d.ownAccount(c) && !c.Bool("dry-run") && l.Dir == restore.DirNonempty && l.State.Inode == l.Inode, wanted
}

// ownAccount tells that the account of the restore is of no use once it is whole: no run will ask for it.
func (d *depot) ownAccount(c *cli.Context) bool { return c.String("to") != "" && d.cfg.StateDir == "" }

func printWhole(c *cli.Context, dir string, s snapshot.Snapshot) error {
	const reason = "an earlier call had restored it to its end"
	if c.Bool("json") {
		return writeResult(c.App.Writer, restoreView{Directory: dir, Action: string(restore.None), Reason: reason, Snapshot: viewOfSnapshot(&s)})
	}
	_, err := fmt.Fprintf(c.App.Writer, "%s lies in %s: %s\n", s.ID, dir, reason)
	return err
}

// restoreManifest is what a restore keeps in its account's directory while it is under way.
const restoreManifest = "restore.manifest"

// forgetAccount removes the account of a restore that is whole, where no run will ask for it.
func (d *depot) forgetAccount(dir string) {
	var err error
	for _, name := range []string{restoreManifest, restore.StateFile, "."} {
		if err = os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = notBegun(dir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.log.Warn("the account of the restore stays, and does no harm", "directory", dir, "cause", err)
	}
}

func printRestore(c *cli.Context, v restoreView) error {
	if c.Bool("json") {
		return writeResult(c.App.Writer, v)
	}
	r := v.Result
	text := fmt.Sprintf("%s restored to %s: %d entries, %s written, %s were there already, %s fetched, in %s",
		v.Snapshot.ID, v.Directory, r.Entries, progress.Bytes(r.Bytes), progress.Bytes(r.Kept), progress.Bytes(r.Fetched), took(v.Took))
	if r.Notes != "" {
		text += "; " + r.Notes
	}
	_, err := fmt.Fprintln(c.App.Writer, text)
	return err
}
