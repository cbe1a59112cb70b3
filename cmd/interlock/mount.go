package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/mountcheck"
)

func mountCommand() *cli.Command {
	return &cli.Command{
		Name:  "mount",
		Usage: "check mounts, or give one an identity",
		Subcommands: []*cli.Command{
			{
				Name: "check", Usage: "look at the configured mounts once, read-only",
				Flags: append(configFlags(), jsonFlag()), Action: mountCheck,
			},
			{
				Name: "watch", Usage: "print what changes with the configured mounts until told to stop; nothing is written",
				Flags:  append(configFlags(), jsonFlag(), &cli.BoolFlag{Name: "until-bad", Usage: "end with 74 at the first finding that would end a run"}),
				Action: mountWatch,
			},
			{
				Name: "init", Usage: "write a volume id into the root of the mount at PATH, for --mount PATH,volume=ID",
				ArgsUsage: "PATH",
				Flags:     []cli.Flag{&cli.StringFlag{Name: "volume", Usage: "the id; a random one if not given"}},
				Action:    mountInit,
			},
		},
	}
}

func mountCheck(c *cli.Context) error {
	if err := noCommand(c); err != nil {
		return err
	}
	cfg, _, err := loadConfigWith(c)
	if err != nil {
		return err
	}
	at, err := storagePlan(cfg, invocationOf(c).environ, newLogger(cfg.Log, c.App.ErrWriter))
	if err != nil {
		return err
	}
	found := mountcheck.Look(c.Context, at.mounts)
	if c.Bool("json") {
		views := make([]mountView, len(found))
		for i, f := range found {
			views[i] = mountViewOf(f)
		}
		if err := json.NewEncoder(c.App.Writer).Encode(views); err != nil {
			return err
		}
	} else {
		w := tabwriter.NewWriter(c.App.Writer, 0, 4, 2, ' ', 0)
		for _, f := range found {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", f.Path, f.Kind, f.Detail, f.Do)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if bad, refused := mountcheck.Refusal(found); refused {
		return exit.Withf(exit.Mount, "mount %s: %s %s", bad.Path, bad.Kind, bad.Detail)
	}
	return nil
}

func mountInit(c *cli.Context) error {
	if c.NArg() != 1 {
		return exit.Withf(exit.Usage, "mount init: expected one PATH, found %d arguments", c.NArg())
	}
	id, err := mountcheck.InitVolume(c.Args().First(), c.String("volume"))
	if err != nil {
		return exit.With(exit.Mount, err)
	}
	fmt.Fprintf(c.App.Writer, "%s: volume id %s; check it with --mount %s,volume=%s\n", c.Args().First(), id, c.Args().First(), id)
	return nil
}
