package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/courier"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/snapshot"
)

// A depot is what every verb for snapshots works on: the configuration, the store it names, and the
// repository in that.
type depot struct {
	cfg     config.Config
	store   courier.Store
	repo    *snapshot.Repository
	log     *slog.Logger
	environ []string
}

// withStore opens the store for do, and nothing in it. A stop signal ends do's context.
func withStore(c *cli.Context, do func(context.Context, *depot) error) error {
	cfg, warnings, err := loadConfigWith(c, "store.url")
	if err != nil {
		return err
	}
	d := &depot{cfg: cfg, log: newLogger(cfg.Log, c.App.ErrWriter), environ: invocationOf(c).environ}
	for _, w := range warnings {
		if lookup(d.environ, "INTERLOCK_TOKEN") == "" { // as the payload of a run we know whose variables those are
			d.log.Warn(w)
		}
	}
	if d.store, err = openStore(cfg.Store); err != nil {
		return err
	}
	defer func() {
		if err := d.store.Close(); err != nil {
			d.log.Debug("closing the store", "cause", err)
		}
	}()
	return interruptible(c.Context, func(ctx context.Context) error {
		return d.failure(do(ctx, d))
	})
}

// withDepot opens the repository, too.
func withDepot(c *cli.Context, do func(context.Context, *depot) error) error {
	return withStore(c, func(ctx context.Context, d *depot) (err error) {
		if d.repo, err = snapshot.Open(ctx, d.store, time.Now); err != nil {
			return err
		}
		if err = d.unlock(); err != nil {
			return err
		}
		return do(ctx, d)
	})
}

// failure gives an error that has no exit code yet the one of its kind.
func (d *depot) failure(err error) error {
	if err == nil {
		return nil
	}
	if _, coded := errors.AsType[*exit.Error](err); coded {
		return err
	}
	return storeError(d.cfg.Store.URL, err)
}

// errSignal is why a context ended: a stop signal.
type errSignal struct{ signal syscall.Signal }

func (e *errSignal) Error() string { return "ended by signal " + e.signal.String() }

// interruptible runs do with a context that ends at a stop signal. The exit code is then the signal's.
func interruptible(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case s := <-signals:
			n, _ := s.(syscall.Signal)
			cancel(&errSignal{n})
		case <-ctx.Done():
		}
	}()
	err := do(ctx)
	cause := context.Cause(ctx)
	signal.Stop(signals)
	cancel(nil)
	<-done
	if stopped, is := errors.AsType[*errSignal](cause); is && err != nil {
		return exit.With(exit.Signaled(int(stopped.signal)), fmt.Errorf("%w: %w", stopped, err))
	}
	return err
}

// pick finds the live snapshot of that ID, of the only one that begins so, or the latest.
func pick(cat *snapshot.Catalog, text string) (snapshot.Snapshot, error) {
	if text == "latest" {
		if s, any := cat.Newest(); any {
			return s, nil
		}
		return snapshot.Snapshot{}, exit.Withf(exit.NoSnapshot, "the repository holds no snapshot yet: `interlock backup` makes one")
	}
	var found []snapshot.Snapshot
	for _, s := range cat.Live {
		if string(s.ID) == text {
			return s, nil
		}
		if strings.HasPrefix(string(s.ID), text) {
			found = append(found, s)
		}
	}
	switch {
	case text == "" || len(found) == 0:
		return snapshot.Snapshot{}, exit.Withf(exit.NoSnapshot, "no snapshot %q: expected an ID, its beginning, or latest; `interlock snapshots` lists %d", text, len(cat.Live))
	case len(found) > 1:
		return snapshot.Snapshot{}, exit.Withf(exit.Usage, "%q is the beginning of %d snapshots, of %s and %s among others: expected more of the ID", text, len(found), found[0].ID, found[1].ID)
	}
	return found[0], nil
}

// pickAll picks each once, in the order of the catalog.
func pickAll(cat *snapshot.Catalog, texts []string) ([]snapshot.Snapshot, error) {
	wanted := map[snapshot.ID]bool{}
	for _, text := range texts {
		s, err := pick(cat, text)
		if err != nil {
			return nil, err
		}
		wanted[s.ID] = true
	}
	var all []snapshot.Snapshot
	for _, s := range cat.Live {
		if wanted[s.ID] {
			all = append(all, s)
		}
	}
	return all, nil
}
