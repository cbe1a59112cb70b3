package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/internal/exit"
)

func pinCommand() *cli.Command {
	return &cli.Command{
		Name: "pin", Usage: "keep a snapshot from prune until it is unpinned", ArgsUsage: "ID|latest",
		Flags:  append(writerFlags(), &cli.StringFlag{Name: "reason", Usage: "why it must stay: `TEXT`, for people"}),
		Action: func(c *cli.Context) error { return setPin(c, true) },
	}
}

func unpinCommand() *cli.Command {
	return &cli.Command{
		Name: "unpin", Usage: "leave a pinned snapshot to prune again", ArgsUsage: "ID",
		Flags:  writerFlags(),
		Action: func(c *cli.Context) error { return setPin(c, false) },
	}
}

// maxReason keeps the catalog small.
const maxReason = 200

func setPin(c *cli.Context, pinned bool) error {
	if err := arguments(c, 1, "the ID of a snapshot"); err != nil {
		return err
	}
	reason := c.String("reason")
	if pinned && (reason == "" || len(reason) > maxReason || oneLineText(reason) != reason) {
		return exit.Withf(exit.Usage, "--reason %q: expected one line of 1 to %d bytes that says why the snapshot must stay", reason, maxReason)
	}
	return underLock(c, func() error {
		return withDepot(c, func(ctx context.Context, d *depot) error { return d.pin(ctx, c, reason) })
	})
}

func (d *depot) pin(ctx context.Context, c *cli.Context, reason string) error {
	cat, err := d.repo.Catalog(ctx)
	if err != nil {
		return err
	}
	s, err := pick(&cat, c.Args().First())
	if err != nil {
		return err
	}
	who, err := d.writer(ctx, c.String(besideKey), &cat)
	if err != nil {
		return err
	}
	if _, err := d.repo.Pin(ctx, who.Holder, s.ID, reason); err != nil {
		return err
	}
	done := "pinned: " + reason
	if reason == "" {
		done = "not pinned any more"
	}
	_, err = fmt.Fprintf(c.App.Writer, "%s %s\n", s.ID, done)
	return err
}
