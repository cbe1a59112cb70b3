package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/lifecycle"
	"github.com/interlock-run/interlock/lock"
)

func lockClearCommand() *cli.Command {
	return &cli.Command{
		Name:  "clear",
		Usage: "say that the holder on record was fenced by hand: the next start waits for nothing of it",
		Flags: append(configFlags(),
			&cli.StringSliceFlag{Name: "fenced", Usage: "a whole node that is off, or was reset: the holder's, and every other that the record still owes; `unknown` for a holder that nobody knows; repeat it"},
			&cli.BoolFlag{Name: "yes", Usage: "do not ask", DisableDefaultText: true}),
		Action: lockClear,
	}
}

// clearPatience bounds how long the lock is kept while somebody reads and types.
const clearPatience = 2 * time.Minute

func lockClear(c *cli.Context) error {
	if err := noCommand(c); err != nil {
		return err
	}
	fenced := c.StringSlice("fenced")
	if len(fenced) == 0 {
		return exit.Withf(exit.Usage, "--fenced is missing: expected the name of each node that was fenced; `interlock lock show` names the holder's")
	}
	k, err := openRecord(c)
	if err != nil {
		return err
	}
	defer k.driver.Close()
	ctx, cancel := context.WithTimeout(c.Context, clearPatience)
	defer cancel()
	cleared, was, err := lock.Clear(ctx, k.driver, k.options, fenced, func(ctx context.Context, r lock.Record) error {
		return confirmClear(ctx, c, k.name, r)
	})
	switch {
	case err != nil:
		return exit.With(clearCode(err), err)
	case !cleared:
		fmt.Fprintf(c.App.Writer, "%s: nothing to clear: %s on node %s ended and drained; the record was not changed\n", k.name, was.Holder, was.Node)
		return nil
	}
	fmt.Fprintf(c.App.Writer, "%s: cleared: nobody waits any more for %s on node %s (token %s)\n", k.name, was.Holder, was.Node, was.Token)
	return nil
}

func clearCode(err error) int {
	switch {
	case errors.Is(err, lock.ErrNotCovered), errors.Is(err, lock.ErrNotConfirmed):
		return exit.Usage
	case errors.Is(err, lock.ErrNoRecord):
		return exit.Config
	}
	return lifecycle.LockCode(err)
}

// confirmClear shows what is about to be given up, and has the name of the holder's node typed.
func confirmClear(ctx context.Context, c *cli.Context, name string, r lock.Record) error {
	w := tabwriter.NewWriter(c.App.Writer, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "lock\t%s\n", name)
	fmt.Fprintf(w, "holder\t%s\tnode %s\ttoken %s\t%s, last word %s\n", orNone(r.Holder), cmp.Or(r.Node, lock.UnknownNode), r.Token, r.Phase, lastWord(r))
	for _, e := range r.Owes {
		fmt.Fprintln(w, owedLine(e))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if c.Bool("yes") {
		return nil
	}
	fmt.Fprintf(c.App.Writer, "If one of these nodes is not off, or was not reset as a whole, two may write from now on.\nType the name of the holder's node to go on: ")
	typed, err := readLine(ctx, c.App.Reader)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w: nothing was changed; type the name, or give --yes", lock.ErrNotConfirmed, err)
	case typed != cmp.Or(r.Node, lock.UnknownNode):
		return fmt.Errorf("%w: expected %q: nothing was changed", lock.ErrNotConfirmed, cmp.Or(r.Node, lock.UnknownNode))
	}
	return nil
}

func lastWord(r lock.Record) string {
	if r.At.IsZero() {
		return "unknown"
	}
	return r.At.UTC().Format(time.RFC3339)
}

// readLine reads one line; a reader that is still waiting when ctx ends is left to the process's end.
func readLine(ctx context.Context, in io.Reader) (string, error) {
	type answer struct {
		line string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		line, err := bufio.NewReader(in).ReadString('\n')
		answers <- answer{strings.TrimSpace(line), err}
	}()
	select {
	case a := <-answers:
		return a.line, a.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
