package main

import (
	"encoding/json"
	"io"
	"sync"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/progress"
	"github.com/interlock-run/interlock/internal/snapshot"
)

// A work is what a long verb shows: progress while it goes on, and its result.
type work struct {
	c       *cli.Context
	d       *depot
	counted *snapshot.Progress
	total   int64
}

func newWork(c *cli.Context, d *depot, total int64) *work {
	return &work{c: c, d: d, counted: &snapshot.Progress{}, total: total}
}

// begin shows progress until the function that it gives is called.
func (w *work) begin(stage string) (end func()) {
	o := progress.Options{Form: progress.Log, Log: w.d.log, Read: func() progress.State {
		p := w.counted
		return progress.State{
			Stage: stage, Entries: p.Entries.Load(), Bytes: p.Bytes.Load() + p.Reused.Load(), Stored: p.Stored.Load(), Total: w.total,
		}
	}}
	switch {
	case w.c.Bool("json"):
		o.Form, o.Out = progress.JSON, w.c.App.Writer
	case terminal(w.c.App.ErrWriter):
		o.Form, o.Out, o.Width = progress.Terminal, w.c.App.ErrWriter, func() int { return columns(w.c.App.ErrWriter) }
	}
	return sync.OnceFunc(progress.Start(o).Stop)
}

// columns is the width of a terminal; 0 where it does not tell.
func columns(out io.Writer) int {
	f, is := out.(interface{ Fd() uintptr })
	if !is {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}

// resultLine is the last line of a long verb's --json; the ones before it are progress.Line.
type resultLine[T any] struct {
	Result T `json:"result"`
}

// writeResult ends the JSON of a long verb.
func writeResult[T any](out io.Writer, result T) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	return enc.Encode(resultLine[T]{result})
}
