package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// takesArguments are the verbs with arguments, among which their flags may stand: `show ID --json`.
func takesArguments() []string { return []string{"show", "diff", "verify", "pin", "unpin"} }

// interspersed puts the flags of such a verb before its arguments, because the parser stops at the first
// argument. Everything else stays as it is.
func interspersed(app *cli.App, argv []string) []string {
	if len(argv) < 3 || !slices.Contains(takesArguments(), argv[1]) {
		return argv
	}
	verb := app.Command(argv[1])
	var flags, arguments []string
	for rest := argv[2:]; len(rest) > 0; {
		take := 1
		if word := rest[0]; len(word) < 2 || word[0] != '-' {
			arguments = append(arguments, word)
		} else {
			if wantsValue(verb, word) {
				take = min(2, len(rest))
			}
			flags = append(flags, rest[:take]...)
		}
		rest = rest[take:]
	}
	return slices.Concat(argv[:2:2], flags, arguments)
}

// wantsValue tells whether a flag's value is the next word.
func wantsValue(verb *cli.Command, word string) bool {
	name := strings.TrimLeft(word, "-")
	if verb == nil || strings.Contains(name, "=") {
		return false
	}
	for _, f := range verb.Flags {
		if slices.Contains(f.Names(), name) {
			takes, is := f.(cli.DocGenerationFlag)
			return is && takes.TakesValue()
		}
	}
	return false
}
