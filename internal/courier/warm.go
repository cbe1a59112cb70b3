package courier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/warm/drain"
	"github.com/interlock-run/interlock/warm/job"
)

// warm fills the caches, one after the other, and tells how far it is several times a second. It commits nothing.
func (w *courier) warm(ctx context.Context, r Request) (Answer, error) {
	sources, end, err := w.sources(ctx, r)
	if err != nil {
		return Answer{}, err
	}
	defer end()
	deadline := time.Now().Add(min(r.Warm.Budget.Time, max(r.Timeout-config.WarmAround, time.Second))) // what an earlier courier has left of it
	var sum job.Loaded
	all := r.Warm.Instances()
	for n, one := range all {
		one.Budget.Time = max(time.Until(deadline)/time.Duration(len(all)-n), time.Millisecond)
		got, failed := w.fill(ctx, one, sources, r.Place.Scratch, n, len(all))
		sum.Add(got)
		err = errors.Join(err, failed)
	}
	return Answer{Cache: &sum}, CacheError(err)
}

// fill loads one of several caches.
func (w *courier) fill(ctx context.Context, r config.Warm, sources []job.Source, scratch string, number, count int) (job.Loaded, error) {
	server, err := CacheServer(r)
	if err != nil {
		return job.Loaded{}, err
	}
	ring, err := CacheRing(r.Ring)
	if err != nil {
		return job.Loaded{}, err
	}
	l := &job.Load{Sources: sources, At: r.From, Ring: ring, Own: true, Scratch: scratch, Options: LoadOptions(server, r)}
	if count > 1 {
		l.Only = &r.Ring.Self
	}
	l.Options.InUse = r.ReadyAt() < 1
	l.Options.Note = func(text string) { w.log.Info("warming: "+text, "memcached", server.String()) }
	stop := w.each(loadTick, func() Progress {
		total, part := l.Bytes(), l.Fraction()
		return Progress{Bytes: int64(part * float64(total)), Total: total, Fraction: (float64(number) + part) / float64(count)}
	})
	got, err := l.Run(ctx)
	stop()
	return got, err
}

// loadTick is between two lines of a load: readiness may hang on it.
const loadTick = 200 * time.Millisecond

// sources are our own dumps and those of the other nodes. A store of another node that is not reached fails the
// load: what is missing would be cold without a word.
func (w *courier) sources(ctx context.Context, r Request) (all []job.Source, end func(), err error) {
	job.BoundHeap()
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

// dump publishes the content of each cache under our token, and then removes its older dumps.
func (w *courier) dump(ctx context.Context, r Request) (a Answer, err error) {
	job.BoundHeap()
	if r.Place.Scratch == "" {
		return Answer{}, exit.Withf(exit.Config, "no folder for the dump until it is published")
	}
	s, err := w.reached(ctx, r, answers)
	if err != nil {
		return Answer{}, err
	}
	defer w.close(s)
	for _, one := range r.Warm.Instances() {
		if err = errors.Join(err, w.dumpOne(ctx, r, one, s.repo, &a)); errors.Is(err, drain.ErrStuck) {
			break // the others' lists would go to the same disk, which hangs
		}
	}
	if err != nil {
		return Answer{}, CacheError(err)
	}
	return a, nil
}

func (w *courier) dumpOne(ctx context.Context, r Request, one config.Warm, repo *snapshot.Repository, a *Answer) error {
	server, err := CacheServer(one)
	if err != nil {
		return err
	}
	d := job.Dump{
		Repository: repo, Holder: r.Who.holder(), About: snapshot.About{Holder: r.Who.Holder, Node: r.Who.Node, Release: r.Who.Release},
		Node: one.Ring.Self, Keep: one.Keep, Scratch: r.Place.Scratch, Options: DumpOptions(server, one),
	}
	d.Options.Note = func(text string) { w.log.Warn("dump: "+text, "memcached", server.String()) }
	made, err := d.Run(ctx)
	if err != nil {
		return err
	}
	a.Catalog, a.Snapshot, a.Dropped = made.Snapshot.Number, made.Snapshot, a.Dropped+len(made.Dropped)
	if made.Cache.Cut != "" {
		a.Warnings = append(a.Warnings, fmt.Sprintf("only the hottest %d of %d items of memcached %s: %s", made.Cache.Counts.Items, made.Cache.Counts.Listed, server, made.Cache.Cut))
	}
	if made.Untidy != nil {
		a.Warnings = append(a.Warnings, oneLine(made.Untidy))
	}
	return nil
}
