package main

import (
	"context"
	"fmt"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/lifecycle"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/lock"
)

// snapshotScope is the lock whose tokens a repository knows: its kind and path without the servers, because
// servers are added and moved.
func snapshotScope(raw string) snapshot.Scope {
	u := lockURL(raw)
	kind := u.Scheme
	if kind == "zk" {
		kind = "zookeeper"
	}
	return snapshot.Scope{Lock: u.Path, Kind: kind}
}

// A writer is under whose token we commit.
type writer struct {
	snapshot.Holder
	beside string // URL of the lock whose record lent the token; empty: it came by the environment, or there is none
	name   string // of the holder, where it was lent
}

// besideKey is the flag that names the lock of the run beside us.
const besideKey = "beside"

// scopeOf is the scope that a repository has, from its beginning or since its first commit with a token.
func scopeOf(repo *snapshot.Repository, cat *snapshot.Catalog) snapshot.Scope {
	if cat.Scope != (snapshot.Scope{}) {
		return cat.Scope
	}
	return repo.Scope
}

// writer finds out under whose token we may commit: that of the run that --beside names, that of the run that
// we are a part of, that of the run whose configuration we were given, or none where the repository belongs to
// nobody. Never our own: two numberings in one
// repository would order nothing.
func (d *depot) writer(ctx context.Context, beside string, cat *snapshot.Catalog) (writer, error) {
	scope := scopeOf(d.repo, cat)
	if beside != "" {
		return d.borrow(ctx, beside, scope)
	}
	if text, name := lookup(d.environ, "INTERLOCK_TOKEN"), lookup(d.environ, "INTERLOCK_LOCK"); text != "" && name != "" {
		mine := snapshotScope(name)
		if scope == (snapshot.Scope{}) || scope == mine {
			token, err := fence.ParseToken(text)
			if err != nil {
				return writer{}, exit.Withf(exit.Usage, "INTERLOCK_TOKEN: %w", err)
			}
			return writer{Holder: snapshot.Holder{Token: token, Scope: mine}, name: lookup(d.environ, "INTERLOCK_HOLDER")}, nil
		}
	}
	if d.cfg.Lock.URL != "" && scope == snapshotScope(d.cfg.Lock.URL) {
		return d.borrow(ctx, d.cfg.Lock.URL, scope) // the configuration is the run's
	}
	if scope != (snapshot.Scope{}) {
		return writer{}, exit.Withf(exit.Config, "store %s belongs to the %s lock %s: only its holder's token publishes there: give --beside with that lock's URL while its run is serving, or start this from the run itself",
			d.cfg.Store.URL, scope.Kind, scope.Lock)
	}
	return writer{}, nil
}

// borrow reads the token of the holder of a lock, while its payload runs.
func (d *depot) borrow(ctx context.Context, url string, scope snapshot.Scope) (writer, error) {
	w := writer{beside: url}
	w.Scope = snapshotScope(url)
	if scope != (snapshot.Scope{}) && scope != w.Scope {
		return w, exit.Withf(exit.Config, "--beside %s: the repository belongs to the %s lock %s", url, scope.Kind, scope.Lock)
	}
	r, err := d.running(ctx, url)
	if err != nil {
		return w, err
	}
	w.Token, w.name = r.Token, r.Holder
	return w, nil
}

// look is one look at a lock.
func (d *depot) look(ctx context.Context, url string) (lock.View, error) {
	cfg := d.cfg
	cfg.Lock.URL = url
	driver, err := openDriver(ctx, cfg, d.log)
	if err != nil {
		return lock.View{}, err
	}
	defer func() {
		if err := driver.Close(); err != nil {
			d.log.Debug("closing the lock driver", "cause", err)
		}
	}()
	v, err := driver.View(ctx)
	return v, exit.With(lifecycle.LockCode(err), err)
}

// unheld refuses while somebody holds the lock that the configuration names, unless we are under it ourselves:
// a restore into the data of a service that runs would destroy both.
func (d *depot) unheld(ctx context.Context) error {
	url := d.cfg.Lock.URL
	if url == "" || lookup(d.environ, "INTERLOCK_TOKEN") != "" && lockScope(lookup(d.environ, "INTERLOCK_LOCK")) == lockScope(url) {
		return nil
	}
	v, err := d.look(ctx, url)
	if err != nil {
		return fmt.Errorf("whether a service runs on %s is not known: %w: --to DIR restores elsewhere", d.cfg.Data, err)
	}
	if len(v.Queue) > 0 {
		return exit.Withf(exit.Held, "lock %s is held by %s, whose service may be running on %s: stop it, or restore elsewhere with --to DIR", lockName(url), v.Queue[0].Holder, d.cfg.Data)
	}
	return nil
}

// running is the state record of a lock that is held, of a holder whose payload runs.
func (d *depot) running(ctx context.Context, url string) (lock.Record, error) {
	v, err := d.look(ctx, url)
	if err != nil {
		return lock.Record{}, err
	}
	not := func(why string) (lock.Record, error) {
		return lock.Record{}, exit.Withf(exit.Held, "lock %s: %s: its token is lent only while its payload runs: try again later", lockName(url), why)
	}
	if !v.Record.Exists() || len(v.Queue) == 0 {
		return not("nobody holds it")
	}
	r, err := lock.DecodeRecord(v.Record.Data, lockTiming(d.cfg.Timing))
	if err != nil {
		return lock.Record{}, exit.With(exit.Config, err)
	}
	if r.Phase != lock.Running {
		return not(fmt.Sprintf("its holder %s is %s", r.Holder, r.Phase))
	}
	if v.Queue[0].Token != 0 && v.Queue[0].Token.Raw() != r.Token.Raw() {
		return not(fmt.Sprintf("%s holds it, and the record is still that of %s", v.Queue[0].Holder, r.Holder))
	}
	return r, nil
}

// still looks again before a commit whether the holder whose token we borrowed is still the one: if not, the
// commit would be refused or, worse, come between a new holder's claim and its decision.
func (d *depot) still(ctx context.Context, w writer) error {
	if w.beside == "" {
		return nil
	}
	r, err := d.running(ctx, w.beside)
	if exit.Code(err) == exit.Held {
		return exit.Withf(exit.Lost, "the run whose token was borrowed (%s, token %s) ended meanwhile, and nothing was published: %w", w.name, w.Token, err)
	}
	if err != nil {
		return err
	}
	if r.Token != w.Token {
		return exit.Withf(exit.Lost, "fenced off: the lock %s went from %s (token %s) to %s (token %s) meanwhile: nothing was published", lockName(w.beside), w.name, w.Token, r.Holder, r.Token)
	}
	return nil
}
