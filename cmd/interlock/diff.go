package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/internal/progress"
	"github.com/interlock-run/interlock/internal/snapshot"
)

func diffCommand() *cli.Command {
	return &cli.Command{
		Name: "diff", Usage: "what differs between two snapshots: + added, - removed, M content, m owner, mode or times", ArgsUsage: "ID ID",
		Flags: append(storeFlags(), jsonFlag()), Action: diff,
	}
}

// changeView is one line of `diff --json`; the last line is a diffSummary.
type changeView struct {
	Path   string `json:"path"`
	Change string `json:"change"` // added, removed, content, meta
	Size   int64  `json:"size"`   // now; of what was removed: then
	Was    int64  `json:"was,omitempty"`
}

// diffSummary counts the changes.
type diffSummary struct {
	From    snapshot.ID `json:"from"`
	To      snapshot.ID `json:"to"`
	Added   int         `json:"added"`
	Removed int         `json:"removed"`
	Content int         `json:"content"`
	Meta    int         `json:"meta"`
	Growth  int64       `json:"growth"` // bytes
}

func diff(c *cli.Context) error {
	if err := arguments(c, 2, "the IDs of two snapshots"); err != nil {
		return err
	}
	return withDepot(c, func(ctx context.Context, d *depot) error {
		cat, err := d.repo.Catalog(ctx)
		if err != nil {
			return err
		}
		from, err1 := pick(&cat, c.Args().Get(0))
		to, err2 := pick(&cat, c.Args().Get(1))
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		return printDiff(ctx, c, d, from, to)
	})
}

func printDiff(ctx context.Context, c *cli.Context, d *depot, from, to snapshot.Snapshot) error {
	a, err := d.repo.Manifest(ctx, from)
	if err != nil {
		return err
	}
	defer a.Close() //nolint:errcheck // it was only read
	b, err := d.repo.Manifest(ctx, to)
	if err != nil {
		return err
	}
	defer b.Close() //nolint:errcheck // it was only read
	sum := diffSummary{From: from.ID, To: to.ID}
	enc := json.NewEncoder(c.App.Writer)
	enc.SetEscapeHTML(false)
	for change, err := range snapshot.Diff(a, b) {
		if err != nil {
			return err
		}
		v := sum.count(change)
		if c.Bool("json") {
			err = enc.Encode(v)
		} else {
			mark := map[string]string{"added": "+", "removed": "-", "content": "M", "meta": "m"}[v.Change]
			_, err = fmt.Fprintf(c.App.Writer, "%s %s\n", mark, v.Path)
		}
		if err != nil {
			return err
		}
	}
	if c.Bool("json") {
		return enc.Encode(sum)
	}
	sign := "+"
	if sum.Growth < 0 {
		sign = "-"
	}
	_, err = fmt.Fprintf(c.App.Writer, "%d added, %d removed, %d with other content, %d with other attributes, %s%s\n",
		sum.Added, sum.Removed, sum.Content, sum.Meta, sign, progress.Bytes(max(sum.Growth, -sum.Growth)))
	return err
}

// count adds a change to the sum and gives its line.
func (s *diffSummary) count(c snapshot.Change) changeView {
	v := changeView{Path: readable(c.Path)}
	if c.New != nil {
		v.Size = c.New.File.Size
	}
	if c.Old != nil {
		v.Was = c.Old.File.Size
	}
	s.Growth += v.Size - v.Was
	switch {
	case c.Old == nil:
		v.Change, s.Added = "added", s.Added+1
	case c.New == nil:
		v.Change, v.Size, v.Was, s.Removed = "removed", v.Was, 0, s.Removed+1
	case c.Content:
		v.Change, s.Content = "content", s.Content+1
	default:
		v.Change, s.Meta = "meta", s.Meta+1
	}
	return v
}
