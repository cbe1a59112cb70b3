package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/internal/progress"
	"github.com/interlock-run/interlock/internal/snapshot"
)

func snapshotsCommand() *cli.Command {
	return &cli.Command{
		Name: "snapshots", Usage: "list the snapshots of a store, the newest last",
		Flags: append(storeFlags(), jsonFlag()), Action: listSnapshots,
	}
}

// snapshotsView is `snapshots --json`.
type snapshotsView struct {
	Store      string         `json:"store"`
	Repository string         `json:"repository"`
	Catalog    uint64         `json:"catalog"` // number of the newest commit; 0: none yet
	Token      string         `json:"token"`   // the highest that has committed; 0: none
	Scope      snapshot.Scope `json:"scope,omitzero"`
	Snapshots  []snapshotView `json:"snapshots"`
}

// snapshotView is one snapshot in --json.
type snapshotView struct {
	ID      snapshot.ID    `json:"id"`
	Number  uint64         `json:"number"`
	Parent  snapshot.ID    `json:"parent,omitempty"`
	Time    time.Time      `json:"time"`
	Age     float64        `json:"age_seconds"`
	Token   string         `json:"token"` // of the writer; 0: none
	Entries int64          `json:"entries"`
	Bytes   int64          `json:"bytes"`
	Stored  int64          `json:"stored"` // bytes that it added to the store
	About   snapshot.About `json:"about"`
	Pin     string         `json:"pin,omitempty"`
	Damaged string         `json:"damaged,omitempty"`
}

func viewOfSnapshot(s *snapshot.Snapshot) snapshotView {
	return snapshotView{
		ID: s.ID, Number: s.Number, Parent: s.Parent, Time: s.Time, Age: max(0, time.Since(s.Time).Seconds()), Token: s.ID.Token().String(),
		Entries: s.Entries, Bytes: s.Bytes, Stored: s.Stored, About: s.About, Pin: s.Pin, Damaged: s.Damaged,
	}
}

func listSnapshots(c *cli.Context) error {
	if err := plain(c); err != nil {
		return err
	}
	return withDepot(c, func(ctx context.Context, d *depot) error {
		cat, err := d.repo.Catalog(ctx)
		if err != nil {
			return err
		}
		view := snapshotsView{
			Store: d.cfg.Store.URL, Repository: d.repo.ID, Catalog: cat.Number, Token: cat.Token.String(),
			Scope: scopeOf(d.repo, &cat), Snapshots: make([]snapshotView, 0, len(cat.Live)),
		}
		for i := range cat.Live {
			view.Snapshots = append(view.Snapshots, viewOfSnapshot(&cat.Live[i]))
		}
		if c.Bool("json") {
			return writeJSON(c, view)
		}
		return printSnapshots(c.App.Writer, view)
	})
}

// plain refuses arguments and a command, for verbs that take flags alone.
func plain(c *cli.Context) error {
	if err := noCommand(c); err != nil {
		return err
	}
	return noArguments(c)
}

func printSnapshots(out io.Writer, v snapshotsView) error {
	if len(v.Snapshots) == 0 {
		_, err := fmt.Fprintf(out, "%s holds no snapshot yet\n", v.Store)
		return err
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tAGE\tMODE\tENTRIES\tSIZE\tADDED\tTOKEN\t")
	for _, s := range v.Snapshots {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n", s.ID, age(s.Age), modeText(s.About), s.Entries, progress.Bytes(s.Bytes), progress.Bytes(s.Stored), s.Token, notes(s))
	}
	return w.Flush()
}

func modeText(a snapshot.About) string {
	if a.Preset != "" {
		return a.Preset
	}
	return orNone(a.Mode)
}

// notes is what makes a snapshot differ from the others: labels, pin, damage.
func notes(s snapshotView) string {
	var all []string
	for name, value := range s.About.Labels {
		all = append(all, name+"="+value)
	}
	slices.Sort(all)
	if s.Pin != "" {
		all = append(all, "pinned: "+s.Pin)
	}
	if s.Damaged != "" {
		all = append(all, "DAMAGED: "+s.Damaged)
	}
	return oneLineText(strings.Join(all, ", "))
}

// oneLineText keeps what somebody else wrote from moving the cursor.
func oneLineText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}

// age is a duration in its largest units.
func age(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return d.Round(time.Second).String()
}

// took is how long something took, as people read it.
func took(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(10 * time.Millisecond).String()
}
