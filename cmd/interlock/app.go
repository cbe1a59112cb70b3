package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/internal/exit"
)

// verbs is what the first argument may be.
func verbs() []*cli.Command {
	return []*cli.Command{
		runCommand(),
		lockCommand(),
		mountCommand(),
		backupCommand(),
		restoreCommand(),
		snapshotsCommand(),
		showCommand(),
		diffCommand(),
		verifyCommand(),
		pruneCommand(),
		pinCommand(),
		unpinCommand(),
		storeCommand(),
		warmCommand(),
		statusCommand(),
		readyCommand(),
		doctorCommand(),
		checkConfigCommand(),
		installCommand(),
		versionCommand(),
		helpCommand(),
	}
}

// execute is the whole program but for the exit itself: it runs the verb that args name and returns the
// exit code, after saying why in one line an error.
func execute(args, environ []string, stdout, stderr io.Writer) int {
	own, inv := split(args)
	inv.environ = environ
	ctx := context.WithValue(context.Background(), invocationKey{}, inv)
	out := &output{to: stdout}
	app := newApp(out, stderr)
	err := out.or(app.RunContext(ctx, interspersed(app, own)))
	if err != nil && !exit.Silent(err) {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintln(stderr, "interlock: "+strings.TrimSuffix(line, "\n"))
		}
	}
	return exit.Code(err)
}

// An invocation is what the verbs need of the command line beyond flags.
type invocation struct {
	dashed    bool     // whether there was a --
	command   []string // argv after --, untouched
	commandAt int      // where that begins in the whole argv
	environ   []string
}

type invocationKey struct{}

// invocationOf is the invocation that a verb runs under.
func invocationOf(c *cli.Context) invocation {
	inv, _ := c.Context.Value(invocationKey{}).(invocation)
	return inv
}

// split takes the payload's argv away before the command line is parsed. What comes after the first --
// is data: the parser would take its help, its completion flag or a further -- for its own.
func split(args []string) ([]string, invocation) {
	if len(args) == 0 {
		args = []string{"interlock"} // the library looks at its own name unasked
	}
	i := slices.Index(args, "--")
	if i < 0 {
		return args, invocation{}
	}
	return args[:i:i], invocation{dashed: true, command: slices.Clone(args[i+1:]), commandAt: i + 1}
}

func newApp(stdout, stderr io.Writer) *cli.App {
	app := &cli.App{
		Name:                      "interlock",
		HelpName:                  "interlock",
		Usage:                     "run a stateful service only while it is safe",
		Writer:                    stdout,
		ErrWriter:                 stderr,
		HideVersion:               true,
		HideHelpCommand:           true,
		EnableBashCompletion:      true,
		DisableSliceFlagSeparator: true,
		Flags:                     []cli.Flag{cli.HelpFlag, &cli.BoolFlag{Name: "version", Usage: "print the version", DisableDefaultText: true}},
		Action:                    noVerb,
		OnUsageError:              usageError,
		ExitErrHandler:            func(*cli.Context, error) {}, // the exit is execute's
		Commands:                  verbs(),
	}
	for _, verb := range app.Commands {
		strict(verb)
	}
	return app
}

// strict takes from a verb what the library adds by itself: a help verb below every verb, and a page of
// help after every mistake.
func strict(verb *cli.Command) {
	verb.HideHelpCommand = true
	verb.OnUsageError = usageError
	if len(verb.Subcommands) > 0 && verb.Action == nil {
		verb.Action = noVerb
	}
	for _, sub := range verb.Subcommands {
		strict(sub)
	}
}

func usageError(c *cli.Context, err error, _ bool) error {
	return exit.Withf(exit.Usage, "%w; `%s --help` lists the flags", err, helpName(c))
}

// noVerb is what happens where a verb should stand and none that we know does.
func noVerb(c *cli.Context) error {
	if c.Bool("version") {
		return printVersion(c, false)
	}
	var names []string
	for _, verb := range c.Command.Subcommands {
		if !verb.Hidden {
			names = append(names, verb.Name)
		}
	}
	found := "no verb"
	if c.Args().Present() {
		found = fmt.Sprintf("%q is no verb", c.Args().First())
	}
	return exit.Withf(exit.Usage, "%s: expected one of %s; `%s --help` says more", found, strings.Join(names, ", "), helpName(c))
}

func helpName(c *cli.Context) string {
	if c.Command != nil && c.Command.HelpName != "" {
		return c.Command.HelpName
	}
	return c.App.HelpName
}

// noArguments refuses arguments before --. It catches the command whose -- was forgotten, and the
// value after a flag that takes none, which would otherwise become the command.
func noArguments(c *cli.Context) error {
	if c.Args().Present() {
		return exit.Withf(exit.Usage, "unexpected argument %q: a command stands after --, and a flag's value after = or a space; `%s --help` lists the flags", c.Args().First(), helpName(c))
	}
	return nil
}

// noCommand refuses a command after --, for verbs that run none.
func noCommand(c *cli.Context) error {
	if invocationOf(c).dashed {
		return exit.Withf(exit.Usage, "unexpected --: this verb runs no command")
	}
	return nil
}
