package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/internal/courier"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/warm/job"
	"github.com/interlock-run/interlock/warm/ring"
)

// warmRing tells how well each rule explains what the nodes hold; it fails where none, or not the one that was
// named, explains enough.
func warmRing(c *cli.Context) error {
	if err := plain(c); err != nil {
		return err
	}
	return withSources(c, func(ctx context.Context, d *depot, sources []job.Source) error {
		r, err := courier.CacheRing(d.cfg.Warm.Ring)
		if err != nil {
			return err
		}
		if r.Rule == "" {
			return exit.Withf(exit.Config, "--ring is missing: expected auto, or the rule to check, and --node for each node as it stands in the clients' list")
		}
		at, err := d.at(ctx, sources)
		if err != nil {
			return err
		}
		held, err := job.Choose(ctx, sources, at)
		if err != nil {
			return warmError(err)
		}
		fits, err := job.Fits(ctx, r, held)
		if err != nil {
			return warmError(err)
		}
		if c.Bool("json") {
			err = writeJSON(c, fits)
		} else {
			err = printFits(c, fits)
		}
		if err != nil {
			return err
		}
		if len(fits) == 0 || fits[0].Fraction < ring.Enough {
			return exit.Withf(exit.Config, "no rule puts %.0f %% of the keys where the nodes hold them: expected the clients' own list of nodes, in its order, and a dump of each node", ring.Enough*100)
		}
		return nil
	})
}

func printFits(c *cli.Context, fits []job.Fit) error {
	w := tabwriter.NewWriter(c.App.Writer, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "FITS\tKEYS\tRULE\tNODES\t")
	for _, f := range fits {
		fmt.Fprintf(w, "%.1f %%\t%d\t%s\t%s\t\n", f.Fraction*100, f.Keys, f.Rule, oneLineText(strings.Join(f.Nodes, " ")))
	}
	return w.Flush()
}
