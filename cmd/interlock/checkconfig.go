package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/exit"
)

func checkConfigCommand() *cli.Command {
	return &cli.Command{
		Name:      "check-config",
		Usage:     "print the effective configuration and where each value came from, or all errors",
		ArgsUsage: "[-- CMD ARGS…]",
		Flags:     append(configFlags(), jsonFlag()),
		Action:    checkConfig,
	}
}

// jsonFlag is the --json of verbs that print.
func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "print JSON", DisableDefaultText: true}
}

func checkConfig(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	require := []string{"lock.url"}
	if invocationOf(c).dashed {
		require = append(require, "command")
	}
	r, err := resolveConfig(c, require...)
	if err == nil {
		err = checkWarm(r.Config.Warm, r.Config.Command)
	}
	if err == nil {
		err = checkCache(c.Context, r.Config.Warm)
	}
	if c.Bool("json") {
		return printConfigJSON(c, r, err)
	}
	for _, w := range r.Warnings {
		fmt.Fprintln(c.App.ErrWriter, "interlock: warning: "+w)
	}
	if err != nil {
		return err
	}
	for _, f := range budgetFindings(r.Config, invocationOf(c).environ) {
		fmt.Fprintln(c.App.ErrWriter, "interlock: warning: "+f.line())
	}
	return printConfig(c, r)
}

func printConfig(c *cli.Context, r config.Resolved) error {
	w := tabwriter.NewWriter(c.App.Writer, 0, 8, 2, ' ', 0)
	for _, v := range r.Values {
		fmt.Fprintf(w, "%s\t%s\t%s\n", v.Key, v.Source, v.Text())
	}
	if len(r.Config.Command) > 0 {
		fmt.Fprintf(w, "command\t--\t%q\n", r.Config.Command)
	}
	for _, n := range []struct {
		name string
		need config.Need
	}{{"stop", r.Config.StopNeed()}, {"start", r.Config.StartNeed()}} {
		fmt.Fprintf(w, "needs.%s\t\t%v = %s\n", n.name, n.need.Total, n.need.How())
	}
	return w.Flush()
}

// printConfigJSON prints one document in either case, so that a script need not look at two streams.
func printConfigJSON(c *cli.Context, r config.Resolved, err error) error {
	out := struct {
		Values   []config.Value  `json:"values,omitempty"`
		Command  []string        `json:"command,omitempty"`
		Warnings []string        `json:"warnings,omitempty"`
		Findings []finding       `json:"findings,omitempty"`
		Needs    *needs          `json:"needs,omitempty"`
		Errors   config.Problems `json:"errors,omitempty"`
	}{Warnings: r.Warnings}
	if err == nil {
		out.Values, out.Command = r.Values, r.Config.Command
		out.Findings, out.Needs = budgetFindings(r.Config, invocationOf(c).environ), needsOf(r.Config)
	} else if problems, is := errors.AsType[config.Problems](err); is {
		out.Errors = problems
	} else {
		out.Errors = config.Problems{{Where: "--config", What: err.Error()}}
	}
	if werr := writeJSON(c, out); werr != nil {
		return werr
	}
	return exit.Status(exit.Code(err))
}

func writeJSON(c *cli.Context, v any) error {
	enc := json.NewEncoder(c.App.Writer)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
