package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/internal/courier"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/progress"
	"github.com/interlock-run/interlock/warm/job"
)

func warmLoad(c *cli.Context) error {
	if err := plain(c); err != nil {
		return err
	}
	return underLock(c, func() error {
		return withSources(c, func(ctx context.Context, d *depot, sources []job.Source) error { return d.warmLoad(ctx, c, sources) })
	})
}

func (d *depot) warmLoad(ctx context.Context, c *cli.Context, sources []job.Source) error {
	w := d.cfg.Warm
	if w.Memcached == "" {
		return exit.Withf(exit.Config, "--memcached is missing: expected HOST:PORT or the path of a socket")
	}
	server, err := courier.CacheServer(w)
	if err != nil {
		return err
	}
	r, err := courier.CacheRing(w.Ring)
	if err != nil {
		return err
	}
	if r.Rule != "" && r.Self == "" {
		return exit.Withf(exit.Config, "--self is missing: expected our own name among the nodes of the ring")
	}
	at, err := d.at(ctx, sources)
	if err != nil {
		return err
	}
	scratch, err := d.warmScratch(c.String("scratch"))
	if err != nil {
		return err
	}
	l := &job.Load{Sources: sources, At: at, Ring: r, Scratch: scratch, Options: courier.LoadOptions(server, w)}
	l.Options.InUse = c.Bool("in-use")
	l.Options.Note = func(text string) { d.log.Info(text) }
	end := d.showWarm(c, func() progress.State {
		total := l.Bytes()
		return progress.State{Stage: "load", Bytes: int64(l.Fraction() * float64(total)), Total: total}
	})
	defer end()
	got, err := l.Run(ctx)
	if err != nil {
		return warmError(fmt.Errorf("%w (%d items were loaded before)", err, got.Loaded))
	}
	end()
	return printLoad(c, got)
}

func printLoad(c *cli.Context, v job.Loaded) error {
	if c.Bool("json") {
		return writeResult(c.App.Writer, v)
	}
	var ids []string
	for _, id := range v.Dumps {
		ids = append(ids, string(id))
	}
	text := fmt.Sprintf("%d of %d items of %s loaded in %s", v.Loaded, v.Held, strings.Join(ids, ", "), took(v.Took))
	if v.Resumed > 0 {
		text += fmt.Sprintf(", %d more by a load before that did not end", v.Resumed)
	}
	if v.Kept > 0 {
		text = fmt.Sprintf("nothing was loaded: the server holds %d items already", v.Kept)
	}
	for _, more := range []struct {
		count int64
		what  string
	}{
		{v.NotOurs, "belong to other nodes"}, {v.Exists, "were there already"}, {v.Expired, "had expired"}, {v.TooLarge, "too large for this server"},
		{v.OutOfMemory, "found no memory"}, {v.Refused, "refused"}, {v.Held - v.Selected, "left out, the coldest"},
	} {
		if more.count > 0 && v.Kept == 0 {
			text += fmt.Sprintf("; %d %s", more.count, more.what)
		}
	}
	if v.Stopped != "" {
		text += "; stopped: " + v.Stopped
	}
	_, err := fmt.Fprintln(c.App.Writer, text)
	return err
}

// now is the clock of repositories.
func (d *depot) now() time.Time { return time.Now() }
