package courier

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/restore"
	"github.com/interlock-run/interlock/restore/pull"
)

// A Glance is what a start would meet.
type Glance struct {
	Err      error             // why the claim of the store would fail; the rest is then empty
	Newest   snapshot.Snapshot // of the store; zero where there is none
	Decision Decision
	Refused  error // why the decision is no start
}

// Look decides as a start would, without a token, and changes nothing: for a dry run.
func Look(ctx context.Context, open Opener, r Request) (g Glance) {
	w := &courier{open: open, environ: os.Environ(), log: slog.New(slog.DiscardHandler)}
	var found pull.Found
	g.Err = w.reach(ctx, r, func(ctx context.Context, s *session) error {
		c, err := s.repo.Catalog(ctx)
		if err != nil {
			return err
		}
		found = pull.Found{Repository: s.repo.ID, Catalog: c}
		return admits(s.repo, c, r.Who.Scope)
	})
	if g.Err != nil {
		g.Err = exitError(g.Err, OpClaim)
		return g
	}
	g.Newest, _ = found.Catalog.Newest()
	c := pull.Choose(restore.Inspect(r.Place.Data, r.Place.StateDir, 0), found, r.settings())
	g.Decision, g.Refused = *decision(c), c.Err()
	return g
}

// admits tells whether a repository would take a commit of this lock's holder.
func admits(repo *snapshot.Repository, c snapshot.Catalog, scope snapshot.Scope) error {
	for _, s := range []snapshot.Scope{repo.Scope, c.Scope} {
		if s != (snapshot.Scope{}) && s != scope {
			return fmt.Errorf("%w: of the %s lock %s, ours is the %s lock %s: give each lock a repository of its own", snapshot.ErrScope, s.Kind, s.Lock, scope.Kind, scope.Lock)
		}
	}
	return nil
}
