package pull

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/interlock-run/interlock/internal/breakpoint"
	"github.com/interlock-run/interlock/internal/durable"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/restore"
	"golang.org/x/sys/unix"
)

// commands are the user's, or the preset's own.
func (r *runner) commands() ([]Command, error) {
	if len(r.Load) > 0 {
		return r.Load, nil
	}
	about := r.Choice.Snapshot.About
	list := Loaders(about.Preset, r.Target.Data)
	if len(list) == 0 {
		return nil, fmt.Errorf("snapshot %s is the output of a command (preset %q), which only a command can load: name one that reads it from its standard input (after -- of `interlock restore`, in a configuration restore.exec)", r.src.snap.ID, about.Preset)
	}
	var out []Command
	for _, argv := range list {
		c := r.Base
		c.Argv = argv
		out = append(out, c)
	}
	return out, nil
}

// stream pipes the snapshot into the first command, and has the others run after it. What an earlier try
// left, or what was given up, is removed first: a command cannot go on over it.
func (r *runner) stream(ctx context.Context, l restore.Look) error {
	list, err := r.commands()
	if err != nil {
		return err
	}
	if l.Dir == restore.DirNonempty {
		if err := r.session.Empty(); err != nil {
			return err
		}
	}
	if err := r.pipe(ctx, list[0]); err != nil {
		return err
	}
	breakpoint.At("pull:piped")
	for _, c := range list[1:] {
		c.settle(r.Target.Data)
		if err := c.run(ctx); err != nil {
			return err
		}
		breakpoint.At("pull:loaded")
	}
	return nil
}

// pipe gives the whole stream to a command: it must take all of it, and exit with 0.
func (r *runner) pipe(ctx context.Context, c Command) (err error) {
	from, to, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("pipe to %q: %w", c.Argv[0], err)
	}
	p, err := c.start(from)
	if err != nil {
		return errors.Join(err, from.Close(), to.Close())
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	waited := make(chan error, 1)
	go func() { // ends with the process, and is waited for below
		err := p.wait(ctx)
		left, e := unread(from)
		if err == nil && e == nil && left > 0 {
			err = fmt.Errorf("%w %q ended with status 0, but left %d bytes of the stream unread", ErrCommand, c.Argv[0], left)
		}
		waited <- errors.Join(err, e, from.Close()) // from now on who writes gets EPIPE
	}()
	wrote := r.src.repo.StreamTo(ctx, to, 0, r.runs(ctx), r.Progress)
	broken := errors.Is(wrote, unix.EPIPE)
	if wrote != nil && !broken {
		cancel(wrote) // kills the command
	}
	if wrote != nil { // its end comes first: it must not take the end of the pipe for that of the stream
		err = <-waited
	}
	closed := to.Close()
	if wrote == nil {
		err = <-waited
	}
	switch {
	case broken && err == nil:
		return fmt.Errorf("%w %q ended with status 0 before it had read the whole stream", ErrCommand, c.Argv[0])
	case wrote != nil && !broken:
		return wrote
	}
	return errors.Join(err, closed)
}

// unread is how many bytes lie in a pipe.
func unread(f *os.File) (int, error) {
	n, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCINQ)
	return n, err
}

// runs gives those of the only entry, and then reads the manifest to its end.
func (r *runner) runs(ctx context.Context) iter.Seq2[snapshot.Want, error] {
	return func(yield func(snapshot.Want, error) bool) {
		stopped := false
		err := r.src.each(ctx, func(m *snapshot.Manifest, e *snapshot.Entry) error {
			r.Progress.Entries.Add(1)
			for {
				run, err := m.NextRun()
				if errors.Is(err, io.EOF) {
					return nil
				}
				if err != nil {
					return err
				}
				if stopped = !yield(snapshot.Want{Run: *run, Chunk: e.File.Chunk}, nil); stopped {
					return errStop
				}
			}
		})
		if err != nil && !stopped {
			yield(snapshot.Want{}, err)
		}
	}
}

// hint adds what to do about an error of starting a command.
func hint(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w%s", err, durable.Hint(err))
}
