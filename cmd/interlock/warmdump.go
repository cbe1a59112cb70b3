package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/internal/courier"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/progress"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/warm/drain"
	"github.com/interlock-run/interlock/warm/dump"
	"github.com/interlock-run/interlock/warm/item"
	"github.com/interlock-run/interlock/warm/job"
)

// warmDumpView is the result of `warm dump --json`.
type warmDumpView struct {
	Snapshot snapshotView  `json:"snapshot"`
	Source   item.Source   `json:"source"`
	Counts   item.Counts   `json:"counts"`
	Cut      string        `json:"cut,omitempty"`
	Listing  float64       `json:"listing_seconds"`
	Reading  float64       `json:"reading_seconds"`
	Latency  latencyView   `json:"latency"`
	Slowest  int           `json:"slowest_rate,omitempty"`
	Dropped  []snapshot.ID `json:"dropped,omitempty"`
}

// latencyView is the 99th percentile of a round trip on an idle connection, in milliseconds.
type latencyView struct {
	Before float64 `json:"before_p99_ms"`
	During float64 `json:"during_p99_ms,omitempty"` // absent: it was over before it could be told
}

func warmDump(c *cli.Context) error {
	if err := plain(c); err != nil {
		return err
	}
	return underLock(c, func() error {
		return withDepot(c, func(ctx context.Context, d *depot) error { return d.warmDump(ctx, c) })
	})
}

func (d *depot) warmDump(ctx context.Context, c *cli.Context) error {
	if d.cfg.Warm.Memcached == "" {
		return exit.Withf(exit.Config, "--memcached is missing: expected HOST:PORT or the path of a socket")
	}
	server, err := courier.CacheServer(d.cfg.Warm)
	if err != nil {
		return err
	}
	cat, err := d.repo.Catalog(ctx)
	if err != nil {
		return err
	}
	who, err := d.writer(ctx, c.String(besideKey), &cat)
	if err != nil {
		return err
	}
	scratch, err := d.warmScratch(c.String("scratch"))
	if err != nil {
		return err
	}
	var folder atomic.Value
	end := d.showWarm(c, func() progress.State { return progress.State{Stage: "dump", Bytes: sizeOf(folder.Load())} })
	j := job.Dump{
		Repository: d.repo, Holder: who.Holder, About: d.about(who, nil), Node: d.cfg.Warm.Ring.Self, Keep: d.cfg.Warm.Keep, Scratch: scratch,
		Options: courier.DumpOptions(server, d.cfg.Warm),
		Before:  func(ctx context.Context) error { return d.still(ctx, who) },
		Grows:   func(dir string) { folder.Store(dir) },
	}
	j.Options.Note = func(text string) { d.log.Warn(text) }
	made, err := j.Run(ctx)
	if errors.Is(err, drain.ErrStuck) {
		return warmError(err) // what shows how far it is looks at the disk that hangs
	}
	end()
	if err != nil {
		return warmError(err)
	}
	if made.Untidy != nil {
		d.log.Warn("the dump was published, but old ones were not removed", "cause", made.Untidy)
	}
	return printDump(c, viewOfDump(made))
}

// sizeOf is what lies in the folder by now; it is gone when all is published.
func sizeOf(folder any) (n int64) {
	dir, is := folder.(string)
	if !is {
		return 0
	}
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error { // for show only
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}

// showWarm shows progress until the function that it gives is called.
func (d *depot) showWarm(c *cli.Context, read func() progress.State) (end func()) {
	o := progress.Options{Form: progress.Log, Log: d.log, Read: read}
	switch {
	case c.Bool("json"):
		o.Form, o.Out = progress.JSON, c.App.Writer
	case terminal(c.App.ErrWriter):
		o.Form, o.Out, o.Width = progress.Terminal, c.App.ErrWriter, func() int { return columns(c.App.ErrWriter) }
	}
	return sync.OnceFunc(progress.Start(o).Stop)
}

func viewOfDump(m job.Dumped) warmDumpView {
	ms := func(q dump.Quantiles) float64 { return float64(q.P99.Microseconds()) / 1000 }
	return warmDumpView{
		Snapshot: viewOfSnapshot(&m.Snapshot), Source: m.Cache.Source, Counts: m.Cache.Counts, Cut: m.Cache.Cut, Listing: m.Listing.Seconds(),
		Reading: m.Reading.Seconds(), Latency: latencyView{ms(m.Latency.Before), ms(m.Latency.During)}, Slowest: m.Slowest, Dropped: m.Dropped,
	}
}

func printDump(c *cli.Context, v warmDumpView) error {
	if c.Bool("json") {
		return writeResult(c.App.Writer, v)
	}
	n := v.Counts
	text := fmt.Sprintf("%s published: %d items of %s, values of %s, %s added to the store; listed in %s, read in %s",
		v.Snapshot.ID, n.Items, v.Source.Server, progress.Bytes(n.Bytes), progress.Bytes(v.Snapshot.Stored), took(v.Listing), took(v.Reading))
	if v.Latency.During > 0 {
		text += fmt.Sprintf("; latency (p99 of an idle connection) %.2f ms before, %.2f ms meanwhile", v.Latency.Before, v.Latency.During)
	}
	for _, more := range []struct {
		count int64
		what  string
	}{
		{n.Expired, "expired meanwhile"}, {n.Gone, "gone meanwhile"}, {n.Stale, "stale"}, {n.Unreachable, "unreachable by the text protocol (binary keys over 186 bytes)"},
		{n.TooLarge, "too large"}, {n.WideFlags, "with flags over 32 bits"}, {n.ReadErrors, "refused by the server"}, {n.TokensLost, "recache tokens lost"},
		{n.NotReached, "left out, the coldest: " + v.Cut}, {int64(len(v.Dropped)), "older dumps removed"},
	} {
		if more.count > 0 {
			text += fmt.Sprintf("; %d %s", more.count, more.what)
		}
	}
	_, err := fmt.Fprintln(c.App.Writer, text)
	return err
}
