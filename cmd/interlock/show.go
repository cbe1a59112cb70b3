package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/progress"
	"github.com/interlock-run/interlock/internal/snapshot"
)

func showCommand() *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "what one snapshot is, and with --files what is in it", ArgsUsage: "ID|latest",
		Flags:  append(storeFlags(), jsonFlag(), &cli.BoolFlag{Name: "files", Usage: "list its entries; with --json one object a line", DisableDefaultText: true}),
		Action: show,
	}
}

func show(c *cli.Context) error {
	if err := arguments(c, 1, "the ID of a snapshot"); err != nil {
		return err
	}
	return withDepot(c, func(ctx context.Context, d *depot) error {
		cat, err := d.repo.Catalog(ctx)
		if err != nil {
			return err
		}
		s, err := pick(&cat, c.Args().First())
		if err != nil {
			return err
		}
		switch {
		case c.Bool("files"):
			return listFiles(ctx, d, s, fileLister(c))
		case c.Bool("json"):
			return writeJSON(c, viewOfSnapshot(&s))
		}
		return printSnapshot(c.App.Writer, viewOfSnapshot(&s))
	})
}

// arguments wants exactly so many arguments and no command.
func arguments(c *cli.Context, count int, what string) error {
	if err := noCommand(c); err != nil {
		return err
	}
	if c.Args().Len() != count {
		return exit.Withf(exit.Usage, "found %q: expected %s; `%s --help` says more", c.Args().Slice(), what, helpName(c))
	}
	return nil
}

func printSnapshot(out io.Writer, s snapshotView) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, oneLineText(value))
		}
	}
	row("id", string(s.ID))
	row("time", s.Time.UTC().Format(time.RFC3339)+" ("+age(s.Age)+" ago)")
	row("number", strconv.FormatUint(s.Number, 10))
	row("parent", string(s.Parent))
	row("mode", s.About.Mode)
	row("preset", s.About.Preset)
	row("holder", s.About.Holder)
	row("node", s.About.Node)
	row("token", s.Token)
	row("release", s.About.Release)
	row("entries", strconv.FormatInt(s.Entries, 10))
	row("size", fmt.Sprintf("%s (%d bytes)", progress.Bytes(s.Bytes), s.Bytes))
	row("added", fmt.Sprintf("%s (%d bytes)", progress.Bytes(s.Stored), s.Stored))
	row("notes", notes(s))
	return w.Flush()
}

// fileView is one line of `show --files --json`. Names of other bytes than UTF-8 are quoted as Go does.
type fileView struct {
	Path   string        `json:"path"`
	Kind   snapshot.Kind `json:"kind"`
	Mode   string        `json:"mode"` // octal
	UID    uint32        `json:"uid"`
	GID    uint32        `json:"gid"`
	Size   int64         `json:"size,omitempty"`
	Time   time.Time     `json:"time"`
	Target string        `json:"target,omitempty"`
}

func viewOfEntry(e *snapshot.Entry) fileView {
	return fileView{
		Path: readable(e.Path), Kind: e.Kind, Mode: fmt.Sprintf("%04o", e.Mode), UID: e.UID, GID: e.GID,
		Size: e.File.Size, Time: e.MTime.Time().UTC(), Target: readable(e.Target),
	}
}

// readable is a name as it is, or quoted where a terminal or JSON would not show it so.
func readable(name string) string {
	if q := strconv.Quote(name); q[1:len(q)-1] != name {
		return q
	}
	return name
}

// fileLister prints entries, each on a line.
func fileLister(c *cli.Context) func(*snapshot.Entry) error {
	if c.Bool("json") {
		enc := json.NewEncoder(c.App.Writer)
		enc.SetEscapeHTML(false)
		return func(e *snapshot.Entry) error { return enc.Encode(viewOfEntry(e)) }
	}
	return func(e *snapshot.Entry) error {
		v := viewOfEntry(e)
		arrow := ""
		if v.Target != "" {
			arrow = " -> " + v.Target
		}
		_, err := fmt.Fprintf(c.App.Writer, "%-8s %s %d:%d %12d %s %s%s\n", v.Kind, v.Mode, v.UID, v.GID, v.Size, v.Time.Format(time.RFC3339), v.Path, arrow)
		return err
	}
}

// listFiles gives every entry of a snapshot to list.
func listFiles(ctx context.Context, d *depot, s snapshot.Snapshot, list func(*snapshot.Entry) error) (err error) {
	m, err := d.repo.Manifest(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	for {
		e, err := m.NextEntry()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = list(e)
		}
		if err != nil {
			return err
		}
	}
}
