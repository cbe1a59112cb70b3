package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/progress"
	"github.com/interlock-run/interlock/warm/item"
	"github.com/interlock-run/interlock/warm/job"
	"github.com/interlock-run/interlock/warm/stored"
)

// warmShowView is `warm show --json`.
type warmShowView struct {
	Snapshot snapshotView `json:"snapshot"`
	Node     string       `json:"node,omitempty"` // in its ring
	Source   item.Source  `json:"source"`
	Began    time.Time    `json:"began"`
	Ended    time.Time    `json:"ended"`
	Cut      string       `json:"cut,omitempty"`
	Cold     string       `json:"cold,omitempty"` // made of a cache that had just started: the fuller dump before it
	Counts   item.Counts  `json:"counts"`
	Bands    []bandView   `json:"bands"` // hottest first
	Expiry   *expiryView  `json:"expiry,omitempty"`
}

type bandView struct {
	Fetched bool      `json:"fetched"` // all were read at least once
	Access  time.Time `json:"access"`  // none was used last before this
	Parts   int       `json:"parts"`
	Items   int64     `json:"items"`
	Bytes   int64     `json:"bytes"`
}

// expiryView counts items by what is left of their life now.
type expiryView struct {
	Never   int64 `json:"never"`
	Over    int64 `json:"over"`
	Minute  int64 `json:"within_1m"`
	Hour    int64 `json:"within_1h"`
	Day     int64 `json:"within_1d"`
	Later   int64 `json:"later"`
	Checked int64 `json:"items_checked"`
}

func warmShow(c *cli.Context) error {
	if err := plain(c); err != nil {
		return err
	}
	return withDepot(c, func(ctx context.Context, d *depot) error {
		sources := []job.Source{{Name: d.cfg.Store.URL, Repository: d.repo}}
		at, err := d.at(ctx, sources)
		if err != nil {
			return err
		}
		held, err := job.Choose(ctx, sources, at)
		if err != nil {
			return warmError(err)
		}
		views := []warmShowView{}
		for _, h := range held {
			v, err := viewOfCache(ctx, h, c.Bool("expiry"))
			if err != nil {
				return warmError(err)
			}
			if of := d.cfg.Warm.Memcached; of == "" || of == v.Source.Server {
				views = append(views, v)
			}
		}
		if len(views) == 0 {
			return exit.Withf(exit.NoSnapshot, "no dump of memcached %s: expected the address that `interlock warm show` without --memcached gives", d.cfg.Warm.Memcached)
		}
		if c.Bool("json") {
			return writeJSON(c, views)
		}
		for _, v := range views {
			if err := printCache(c.App.Writer, v); err != nil {
				return err
			}
		}
		return nil
	})
}

func viewOfCache(ctx context.Context, h job.Held, expiry bool) (v warmShowView, err error) {
	c, err := stored.Open(ctx, h.Repository, h.Snapshot)
	if err != nil {
		return v, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	v = warmShowView{
		Snapshot: viewOfSnapshot(&h.Snapshot), Node: h.Node, Cold: h.Snapshot.About.Labels[job.ColdLabel], Source: c.Source, Began: time.Unix(c.Began, 0).UTC(), Ended: time.Unix(c.Ended, 0).UTC(),
		Cut: c.Cut, Counts: c.Counts, Bands: []bandView{},
	}
	for _, b := range c.Bands {
		view := bandView{Fetched: b.Fetched, Access: time.Unix(b.Access, 0).UTC(), Parts: len(b.Parts)}
		for _, p := range b.Parts {
			view.Items, view.Bytes = view.Items+p.Items, view.Bytes+p.Bytes
		}
		v.Bands = append(v.Bands, view)
	}
	if expiry {
		v.Expiry, err = expiries(c, time.Now())
	}
	return v, err
}

// expiries reads everything, which also checks every sum.
func expiries(c *item.Cache, now time.Time) (*expiryView, error) {
	e := &expiryView{}
	for b := range c.Bands {
		for p := range c.Bands[b].Parts {
			if err := e.part(c, b, p, now); err != nil {
				return nil, err
			}
		}
	}
	return e, nil
}

func (e *expiryView) part(c *item.Cache, band, part int, now time.Time) (err error) {
	r, err := c.Part(band, part, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	var i item.Item
	for {
		if err := r.Next(&i); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		e.Checked++
		left := time.UnixMilli(i.Expires).Sub(now)
		switch {
		case i.Expires == 0:
			e.Never++
		case left <= 0:
			e.Over++
		case left <= time.Minute:
			e.Minute++
		case left <= time.Hour:
			e.Hour++
		case left <= 24*time.Hour:
			e.Day++
		default:
			e.Later++
		}
	}
}

func printCache(out io.Writer, v warmShowView) error {
	fmt.Fprintf(out, "%s: %d items, values of %s, of memcached %s %s", v.Snapshot.ID, v.Counts.Items, progress.Bytes(v.Counts.Bytes), oneLineText(v.Source.Server), oneLineText(v.Source.Version))
	if v.Node != "" {
		fmt.Fprintf(out, ", node %s", oneLineText(v.Node))
	}
	fmt.Fprintf(out, ", dumped %s ago in %s, listed by %s\n", age(time.Since(v.Ended).Seconds()), v.Ended.Sub(v.Began), oneLineText(v.Source.Listing))
	if v.Cold != "" {
		fmt.Fprintf(out, "of a cache that was cold: it had just started; %s before it has more than twice as much, and is loaded behind it\n", oneLineText(v.Cold))
	}
	if v.Cut != "" {
		fmt.Fprintf(out, "only the hottest: %s; %d items were left out\n", oneLineText(v.Cut), v.Counts.NotReached)
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "BAND\tUSED SINCE\tREAD\tITEMS\tBYTES\tPARTS\t")
	for n, b := range v.Bands {
		fmt.Fprintf(w, "%d\t%s\t%v\t%d\t%s\t%d\t\n", n, b.Access.Format(time.RFC3339), b.Fetched, b.Items, progress.Bytes(b.Bytes), b.Parts)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if e := v.Expiry; e != nil {
		_, err := fmt.Fprintf(out, "life left now: %d for ever, %d over, %d up to a minute, %d up to an hour, %d up to a day, %d more\n", e.Never, e.Over, e.Minute, e.Hour, e.Day, e.Later)
		return err
	}
	return nil
}
