package courier

import (
	"context"

	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/restore"
	"github.com/interlock-run/interlock/restore/pull"
)

// restore decides what the payload starts on, tells it, and carries it out. It ends by recording that this
// tenure starts on the data: what tells a later start that another tenure went on elsewhere.
func (w *courier) restore(ctx context.Context, r Request) (Answer, error) {
	target := r.target()
	var found pull.Found
	s, err := w.reached(ctx, r, func(ctx context.Context, s *session) (err error) {
		found.Repository = s.repo.ID
		found.Catalog, err = s.repo.Catalog(ctx)
		return err
	})
	if err != nil {
		found.Err = err
	} else {
		defer w.close(s)
	}
	choice := pull.Choose(restore.Inspect(target.Data, target.StateDir, target.Token), found, r.settings())
	w.out.tell(Line{Decision: decision(choice)})
	if err := choice.Err(); err != nil {
		return Answer{}, err
	}
	var a Answer
	if choice.Restores() {
		a, err = w.pull(ctx, r, s.repo, choice)
	}
	if err != nil {
		return Answer{}, err
	}
	return a, restore.StartTenure(target)
}

func (r Request) target() restore.Target {
	return restore.Target{Data: r.Place.Data, StateDir: r.Place.StateDir, Token: r.Who.Token, Holder: r.Who.Holder, When: r.Restore.When}
}

func (r Request) settings() pull.Settings {
	return pull.Settings{When: r.Restore.When, OnEmpty: r.Restore.OnEmpty, Diverged: r.Restore.Diverged, At: r.Restore.At}
}

func decision(c pull.Choice) *Decision {
	return &Decision{Action: string(c.Action), Reason: c.Reason, Snapshot: c.Snapshot.ID}
}

func (w *courier) pull(ctx context.Context, r Request, repo *snapshot.Repository, choice pull.Choice) (Answer, error) {
	job := pull.Job{
		Repo: repo, Target: r.target(), Choice: choice, Exclude: r.Backup.Exclude,
		Base: pull.Command{Env: w.scrubbed(r), User: r.credential()}, Progress: &snapshot.Progress{},
	}
	if len(r.Restore.Exec) > 0 { // as restore.exec by itself: as ourselves
		job.Load = []pull.Command{{Argv: r.Restore.Exec, Env: w.scrubbed(r)}}
	}
	defer w.follow(job.Progress, choice.Snapshot.Bytes)()
	res, err := pull.Run(ctx, job)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Catalog: choice.Catalog, Snapshot: choice.Snapshot, Bytes: res.Bytes}
	if res.Notes != "" {
		a.Warnings = append(a.Warnings, "not restored: "+res.Notes)
	}
	if res.Aside != "" {
		a.Warnings = append(a.Warnings, "the data that was overtaken was put aside: "+res.Aside)
	}
	return a, nil
}
