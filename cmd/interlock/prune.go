package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/progress"
	"github.com/interlock-run/interlock/internal/snapshot"
)

// abandonAfter is when an upload that was never published counts as left over: longer than any backup takes.
const abandonAfter = 48 * time.Hour

func pruneCommand() *cli.Command {
	return &cli.Command{
		Name: "prune", Usage: "forget snapshots that --keep-… does not want, and delete what none names any more",
		Flags: append(writerFlags(keepFlags()...), jsonFlag(),
			&cli.BoolFlag{Name: "dry-run", Usage: "say what would go and why the rest stays, and change nothing", DisableDefaultText: true},
			&cli.DurationFlag{Name: "abandon-after", Value: abandonAfter, Usage: "delete uploads that were begun so long ago and never published"}),
		Action: prune,
	}
}

// pruneView is `prune --json`.
type pruneView struct {
	DryRun    bool          `json:"dry_run"`
	Stay      []stayView    `json:"stay"`
	Go        []snapshot.ID `json:"go"`
	Abandoned []snapshot.ID `json:"abandoned"`      // uploads that were never published
	UnderWay  []snapshot.ID `json:"under_way"`      // of the same kind, too young to be sure
	Objects   int           `json:"objects"`        // deleted; with dry_run: already garbage
	Bytes     int64         `json:"bytes"`          // of them
	Named     int64         `json:"still_named"`    // bytes of removed snapshots that others still need
	Leftovers int           `json:"leftover_files"` // of killed writers, in a directory
}

// stayView is a snapshot that stays, and why.
type stayView struct {
	ID  snapshot.ID `json:"id"`
	Why []string    `json:"why"`
}

func prune(c *cli.Context) error {
	if err := plain(c); err != nil {
		return err
	}
	if c.Duration("abandon-after") < time.Hour {
		return exit.Withf(exit.Usage, "--abandon-after %v: expected 1h or more: what is younger may be under way", c.Duration("abandon-after"))
	}
	return underLock(c, func() error {
		return withDepot(c, func(ctx context.Context, d *depot) error {
			v, err := d.prune(ctx, c)
			if err != nil {
				return err
			}
			if c.Bool("json") {
				return writeJSON(c, v)
			}
			return printPrune(c, v)
		})
	})
}

func (d *depot) prune(ctx context.Context, c *cli.Context) (pruneView, error) {
	cat, err := d.repo.Catalog(ctx)
	if err != nil {
		return pruneView{}, err
	}
	keep := snapshot.Keep(d.cfg.Backup.Keep)
	v := pruneView{DryRun: c.Bool("dry-run"), Go: orEmpty(keep.Drop(cat.Live)), Abandoned: []snapshot.ID{}, UnderWay: []snapshot.ID{}}
	v.Stay = whyStay(keep, cat.Live, v.Go)
	if v.DryRun {
		return v, d.collect(ctx, writer{}, &v, c.Duration("abandon-after"))
	}
	who, err := d.writer(ctx, c.String(besideKey), &cat)
	if err != nil {
		return v, err
	}
	if len(v.Go) > 0 {
		err := d.withRoom(ctx, who, &v, func() error {
			_, err := d.repo.Forget(ctx, who.Holder, v.Go, false)
			return err
		})
		if err != nil {
			return v, err
		}
	}
	return v, d.collect(ctx, who, &v, c.Duration("abandon-after"))
}

// collect deletes garbage, among it uploads that nobody will ever publish.
func (d *depot) collect(ctx context.Context, who writer, v *pruneView, old time.Duration) error {
	sweep, err := d.repo.Collect(ctx, who.Holder, v.DryRun)
	v.add(sweep)
	if err != nil {
		return err
	}
	for _, id := range sweep.Current {
		if time.Since(begunAt(id)) > old {
			v.Abandoned = append(v.Abandoned, id)
		} else {
			v.UnderWay = append(v.UnderWay, id)
		}
	}
	if v.DryRun {
		return nil
	}
	if len(v.Abandoned) > 0 {
		err := d.withRoom(ctx, who, v, func() error {
			_, err := d.repo.Abandon(ctx, who.Holder, v.Abandoned)
			return err
		})
		if err != nil {
			return err
		}
		sweep, err := d.repo.Collect(ctx, who.Holder, false)
		v.add(sweep)
		if err != nil {
			return err
		}
	}
	return d.sweep(ctx, v)
}

// begunAt is the time in an ID, by its writer's clock.
func begunAt(id snapshot.ID) time.Time {
	text, _, _ := strings.Cut(string(id), "-")
	at, err := time.Parse("20060102T150405Z", text)
	if err != nil {
		return time.Now() // no ID is without, and what is new stays
	}
	return at
}

func (v *pruneView) add(s snapshot.Sweep) {
	v.Objects += s.Deleted
	v.Bytes += s.Bytes
	v.Named = s.Kept
}

// whyStay says by which rule each snapshot stays that does not go.
func whyStay(keep snapshot.Keep, live []snapshot.Snapshot, gone []snapshot.ID) []stayView {
	rules := []struct {
		name string
		keep snapshot.Keep
	}{
		{"last", snapshot.Keep{Last: keep.Last}}, {"hourly", snapshot.Keep{Hourly: keep.Hourly}}, {"daily", snapshot.Keep{Daily: keep.Daily}},
		{"weekly", snapshot.Keep{Weekly: keep.Weekly}}, {"monthly", snapshot.Keep{Monthly: keep.Monthly}},
	}
	stay := []stayView{}
	for _, s := range live {
		if slices.Contains(gone, s.ID) {
			continue
		}
		v := stayView{ID: s.ID, Why: []string{}}
		if s.Pin != "" {
			v.Why = append(v.Why, "pinned: "+s.Pin)
		}
		for _, r := range rules {
			// Each rule keeps by itself what it keeps beside the others.
			if r.keep != (snapshot.Keep{}) && s.Damaged == "" && !slices.Contains(r.keep.Drop(withoutPins(live)), s.ID) {
				v.Why = append(v.Why, r.name)
			}
		}
		if len(v.Why) == 0 {
			v.Why = append(v.Why, noRule(keep, s))
		}
		stay = append(stay, v)
	}
	return stay
}

func noRule(keep snapshot.Keep, s snapshot.Snapshot) string {
	switch {
	case keep == (snapshot.Keep{}):
		return "nothing says how many to keep"
	case s.Damaged != "":
		return "damaged, and there is no whole one"
	}
	return "the last one that can be restored"
}

func withoutPins(live []snapshot.Snapshot) []snapshot.Snapshot {
	all := slices.Clone(live)
	for i := range all {
		all[i].Pin = ""
	}
	return all
}

func orEmpty(ids []snapshot.ID) []snapshot.ID {
	if ids == nil {
		return []snapshot.ID{}
	}
	return ids
}

func printPrune(c *cli.Context, v pruneView) error {
	w := tabwriter.NewWriter(c.App.Writer, 0, 4, 2, ' ', 0)
	for _, s := range v.Stay {
		fmt.Fprintf(w, "stays\t%s\t%s\n", s.ID, oneLineText(strings.Join(s.Why, ", ")))
	}
	would, done := "goes", "deleted"
	if v.DryRun {
		would, done = "would go", "could be deleted already"
	}
	for _, id := range v.Go {
		fmt.Fprintf(w, "%s\t%s\t\n", would, id)
	}
	for _, id := range v.Abandoned {
		fmt.Fprintf(w, "%s\t%s\tan upload that was never published\n", would, id)
	}
	for _, id := range v.UnderWay {
		fmt.Fprintf(w, "left alone\t%s\tan upload that may be under way\n", id)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.App.Writer, "%d objects with %s %s, %d leftover files\n", v.Objects, progress.Bytes(v.Bytes), done, v.Leftovers)
	return err
}
