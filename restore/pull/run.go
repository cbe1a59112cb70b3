package pull

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/interlock-run/interlock/internal/breakpoint"
	"github.com/interlock-run/interlock/internal/durable"
	"github.com/interlock-run/interlock/internal/fstree"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/restore"
	"golang.org/x/sys/unix"
)

// manifestFile is the local copy of the manifest in the state directory while a restore is under way.
const manifestFile = "restore.manifest"

// Run carries out a choice that restores. On an error the state file goes on saying that the restore is
// unfinished, unless nothing was begun. Its errors carry exit codes.
func Run(ctx context.Context, j Job) (Result, error) {
	r := &runner{Job: j}
	if r.Progress == nil {
		r.Progress = &snapshot.Progress{}
	}
	err := r.run(ctx)
	return r.result, coded(err)
}

// A runner is one call of Run.
type runner struct {
	Job
	session *restore.Session
	src     *source
	survey  survey
	notes   fstree.Tally
	lost    lost // what the notes allow to differ
	made    bool // the data directory
	result  Result
}

func (r *runner) run(ctx context.Context) (err error) {
	if !r.Choice.Restores() {
		return fmt.Errorf("nothing to restore: the choice is %q: %s", r.Choice.Action, r.Choice.Reason)
	}
	r.session, err = restore.Open(r.Target)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.session.Close()) }()
	if err := r.prepare(ctx); err != nil {
		return errors.Join(err, r.forget())
	}
	l, err := r.begin()
	if err != nil {
		return errors.Join(err, r.forget())
	}
	breakpoint.At("pull:begun")
	if r.survey.stream != nil {
		err = r.stream(ctx, l)
	} else {
		err = r.tree(ctx, l)
	}
	if err != nil {
		return err
	}
	if err := os.Remove(r.src.path); err != nil { // before the end: nobody would look for it afterwards
		return fmt.Errorf("%w%s", err, durable.Hint(err))
	}
	if err := r.session.End(); err != nil {
		return err
	}
	breakpoint.At("pull:done")
	r.count()
	return nil
}

// prepare does all that can fail before anything is touched.
func (r *runner) prepare(ctx context.Context) error {
	r.src = &source{r.Repo, r.Choice.Snapshot, filepath.Join(r.Target.StateDir, manifestFile)}
	if err := r.Repo.CopyManifest(ctx, r.src.snap, r.src.path); err != nil {
		return err
	}
	breakpoint.At("pull:manifest")
	var err error
	if r.survey, err = r.src.look(ctx, r.sentinels()); err != nil {
		return err
	}
	if r.survey.stream != nil {
		r.result.Stream = true
		if _, err = r.commands(); err != nil {
			return err
		}
		return r.makeDirectory()
	}
	if err := r.makeDirectory(); err != nil {
		return err
	}
	l := r.session.Look()
	if why := l.Unusable(); why != "" {
		return fmt.Errorf("%w: %s", restore.ErrRefused, why)
	}
	return room(r.Target.Data, r.survey, l.Dir == restore.DirNonempty && r.Choice.Action != KeepCopy)
}

// forget removes the manifest's copy of a restore that was not begun, and the directory that was made for it, unless
// somebody has use for that already. Also an account that was written speaks of an empty one, or of none.
func (r *runner) forget() error {
	err := os.Remove(r.src.path)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if !r.made {
		return err
	}
	gone := unix.Rmdir(r.Target.Data)
	if errors.Is(gone, os.ErrNotExist) || errors.Is(gone, unix.ENOTEMPTY) || errors.Is(gone, unix.ENOTDIR) {
		gone = nil
	}
	return errors.Join(err, gone)
}

// makeDirectory makes a data directory that is missing, where nobody holds a lock: in a run it would hide
// that a mount is.
func (r *runner) makeDirectory() error {
	if r.Target.Token != 0 || r.session.Look().Dir != restore.DirMissing {
		return nil
	}
	if err := os.Mkdir(r.Target.Data, 0o700); err != nil {
		return fmt.Errorf("%w%s", err, durable.Hint(err))
	}
	r.made = true
	return nil
}

// begin puts old data aside where that was chosen, and records the restore as begun.
func (r *runner) begin() (restore.Look, error) {
	if r.Choice.Action == KeepCopy {
		aside, err := r.session.PutAside()
		r.result.Aside = aside
		if err != nil {
			return restore.Look{}, err
		}
	}
	l := r.session.Look()
	way := restore.Fresh
	switch {
	case l.Dir == restore.DirEmpty:
	case r.Choice.Action == restore.Resume:
		way = restore.Again
	case r.Choice.Action == Replace && l.Inode != r.Choice.Inode:
		return l, fmt.Errorf("%w: %q is another directory than the one that was given up", restore.ErrRefused, l.Data)
	case r.Choice.Action == Replace:
		way = restore.Over
	}
	return l, r.session.Begin(restore.Origin{
		Repository: r.Choice.Repository, Snapshot: string(r.Choice.Snapshot.ID), Catalog: r.Choice.Catalog,
	}, way)
}

func (r *runner) count() {
	r.result.Entries, r.result.Files = r.survey.entries, r.survey.files
	r.result.Bytes, r.result.Kept = r.Progress.Bytes.Load(), r.Progress.Reused.Load()
	r.result.Fetched = r.Progress.Stored.Load()
	r.result.Notes = r.notes.String()
}
