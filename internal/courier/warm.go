package courier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/warm/job"
)

// warm fills the cache, and tells how far it is several times a second. It commits nothing.
func (w *courier) warm(ctx context.Context, r Request) (Answer, error) {
	server, err := CacheServer(r.Warm)
	if err != nil {
		return Answer{}, err
	}
	ring, err := CacheRing(r.Warm.Ring)
	if err != nil {
		return Answer{}, err
	}
	sources, end, err := w.sources(ctx, r)
	if err != nil {
		return Answer{}, err
	}
	defer end()
	l := &job.Load{Sources: sources, At: r.Warm.From, Ring: ring, Own: true, Scratch: r.Place.Scratch, Options: LoadOptions(server, r.Warm)}
	l.Options.Limit.Time = min(l.Options.Limit.Time, max(r.Timeout-config.WarmAround, time.Second)) // of what an earlier courier has left
	l.Options.InUse = r.Warm.ReadyAt() < 1
	l.Options.Note = func(text string) { w.log.Info("warming: " + text) }
	stop := w.each(loadTick, func() Progress {
		total := l.Bytes()
		return Progress{Bytes: int64(l.Fraction() * float64(total)), Total: total, Fraction: l.Fraction()}
	})
	got, err := l.Run(ctx)
	stop()
	return Answer{Cache: &got}, CacheError(err)
}

// loadTick is between two lines of a load: readiness may hang on it.
const loadTick = 200 * time.Millisecond

// sources are our own dumps and those of the other nodes. A store of another node that is not reached fails the
// load: what is missing would be cold without a word.
func (w *courier) sources(ctx context.Context, r Request) (all []job.Source, end func(), err error) {
	var open []*session
	end = func() {
		for _, s := range open {
			w.close(s)
		}
	}
	for i, url := range append([]string{r.Store.URL}, r.Warm.Ring.Stores...) {
		one := r
		one.Store.URL = url
		s, err := w.reached(ctx, one, answers)
		if err != nil && i > 0 && errors.Is(err, snapshot.ErrMissing) {
			w.log.Warn("a node's store holds no repository: its share is not loaded", "store", url)
			continue
		}
		if err != nil {
			end()
			return nil, nil, err
		}
		open = append(open, s)
		all = append(all, job.Source{Name: url, Repository: s.repo})
	}
	return all, end, nil
}

// dump publishes the cache's content under our token, and then removes this node's older dumps.
func (w *courier) dump(ctx context.Context, r Request) (Answer, error) {
	server, err := CacheServer(r.Warm)
	if err != nil {
		return Answer{}, err
	}
	if r.Place.Scratch == "" {
		return Answer{}, exit.Withf(exit.Config, "no folder for the dump until it is published")
	}
	s, err := w.reached(ctx, r, answers)
	if err != nil {
		return Answer{}, err
	}
	defer w.close(s)
	d := job.Dump{
		Repository: s.repo, Holder: r.Who.holder(), About: snapshot.About{Holder: r.Who.Holder, Node: r.Who.Node, Release: r.Who.Release},
		Node: r.Warm.Ring.Self, Keep: r.Warm.Keep, Scratch: r.Place.Scratch, Options: DumpOptions(server, r.Warm),
	}
	d.Options.Note = func(text string) { w.log.Warn("dump: " + text) }
	made, err := d.Run(ctx)
	if err != nil {
		return Answer{}, CacheError(err)
	}
	a := Answer{Catalog: made.Snapshot.Number, Snapshot: made.Snapshot, Dropped: len(made.Dropped)}
	if made.Cache.Cut != "" {
		a.Warnings = append(a.Warnings, fmt.Sprintf("only the hottest %d of %d items: %s", made.Cache.Counts.Items, made.Cache.Counts.Listed, made.Cache.Cut))
	}
	if made.Untidy != nil {
		a.Warnings = append(a.Warnings, oneLine(made.Untidy))
	}
	return a, nil
}
