package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"text/tabwriter"
	"time"

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

// mountsOf is what a verb is to look at: a probe that looks at nothing, for a flag that was forgotten, must not
// succeed.
func mountsOf(c *cli.Context) (mountcheck.Config, error) {
	if err := noCommand(c); err != nil {
		return mountcheck.Config{}, err
	}
	if c.Args().Present() {
		return mountcheck.Config{}, exit.Withf(exit.Usage, "mount %s: unexpected argument %q: mounts are given by --mount and --data", c.Command.Name, c.Args().First())
	}
	cfg, _, err := loadConfigWith(c)
	if err != nil {
		return mountcheck.Config{}, err
	}
	at, err := storagePlan(cfg, invocationOf(c).environ, newLogger(cfg.Log, c.App.ErrWriter))
	if err == nil && len(at.mounts.Expect) == 0 && at.mounts.Data == "" {
		err = exit.Withf(exit.Usage, "mount %s: nothing to look at: give --mount or --data", c.Command.Name)
	}
	return at.mounts, err
}

func mountCheck(c *cli.Context) error {
	mounts, err := mountsOf(c)
	if err != nil {
		return err
	}
	found := mountcheck.Look(c.Context, mounts)
	if err := printMounts(c, found); err != nil {
		return err
	}
	if bad, refused := mountcheck.Refusal(found); refused {
		return exit.Withf(exit.Mount, "mount %s: %s %s", bad.Path, bad.Kind, bad.Detail)
	}
	return nil
}

// printMounts is a line a mount, or all of it as JSON.
func printMounts(c *cli.Context, found []mountcheck.Finding) error {
	if c.Bool("json") {
		views := make([]mountView, len(found))
		for i, f := range found {
			views[i] = mountViewOf(f)
		}
		return json.NewEncoder(c.App.Writer).Encode(views)
	}
	w := tabwriter.NewWriter(c.App.Writer, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "MOUNT\tFINDING\tPOLICY\tPROBE\tDETAIL")
	for _, f := range found {
		took, do := "-", ""
		if f.Took > 0 {
			took = f.Took.Round(10 * time.Microsecond).String()
		}
		if f.Do != "" {
			do = " -> " + f.Do
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s%s\n", f.Path, f.Kind, policyText(f), took, f.Detail, do)
	}
	return w.Flush()
}

// policyText is what the finding does to a run.
func policyText(f mountcheck.Finding) string {
	if f.Policy == "" {
		return "-"
	}
	return string(f.Policy)
}

func mountInit(c *cli.Context) error {
	if c.NArg() != 1 {
		return exit.Withf(exit.Usage, "mount init: expected one PATH, after the flags, found %d arguments", c.NArg())
	}
	if !filepath.IsAbs(c.Args().First()) {
		return exit.Withf(exit.Usage, "mount init: the path %q is relative, expected an absolute one", c.Args().First())
	}
	id, err := mountcheck.InitVolume(c.Args().First(), c.String("volume"))
	if err != nil {
		return exit.With(exit.Mount, err)
	}
	fmt.Fprintf(c.App.Writer, "%s: volume id %s; check it with --mount %s,volume=%s\n", c.Args().First(), id, c.Args().First(), id)
	return nil
}
