package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/internal/exit"
)

const exitCodesTopic = "exit-codes"

func helpCommand() *cli.Command {
	return &cli.Command{
		Name:      "help",
		Usage:     "print help for a verb, or for the topic " + exitCodesTopic,
		ArgsUsage: "[VERB…|" + exitCodesTopic + "]",
		Action:    help,
	}
}

func help(c *cli.Context) error {
	words := c.Args().Slice()
	if len(words) == 0 {
		return cli.ShowAppHelp(c)
	}
	if len(words) == 1 && words[0] == exitCodesTopic {
		_, err := fmt.Fprint(c.App.Writer, exit.Text())
		return err
	}
	if _, found := findVerb(c.App.Commands, words); !found {
		return exit.Withf(exit.Usage, "no help for %q: expected a verb, or %s; `interlock --help` lists the verbs", words, exitCodesTopic)
	}
	// A fresh app, because this one is in the middle of its run.
	app := newApp(c.App.Writer, c.App.ErrWriter)
	return app.RunContext(c.Context, append(append([]string{app.Name}, words...), "--help"))
}

// findVerb follows words down the tree of verbs.
func findVerb(verbs []*cli.Command, words []string) (*cli.Command, bool) {
	for _, verb := range verbs {
		if !verb.HasName(words[0]) {
			continue
		}
		if len(words) == 1 {
			return verb, true
		}
		return findVerb(verb.Subcommands, words[1:])
	}
	return nil, false
}
