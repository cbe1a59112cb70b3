package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"sync"
	"time"

	"github.com/interlock-run/interlock/internal/snapshot"
)

// A recipe is a command whose output is a backup, with all that tells whether it succeeded.
type recipe struct {
	argv    []string
	name    string                    // of the stream in the snapshot
	trailer trailer                   // nil: any end will do
	words   func(stderr string) error // of the end of its standard error; nil: anything
	verify  []string                  // gets the output on its standard input; nil: none
	temp    folder                    // its own; of presets
}

// A stream is a command's output as it is read. Its end is an end of the data only once everything that
// tells of success has been seen: then Read says io.EOF, and otherwise what is wrong.
type stream struct {
	ctx    context.Context
	recipe recipe
	p      *process
	out    *os.File
	tail   tail
	bytes  int64
	check  *checker // nil: none
	err    error    // of all further calls of Read
}

// Read passes on what the command writes.
func (s *stream) Read(b []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.out.Read(b)
	s.bytes += int64(n)
	s.tail.add(b[:n])
	if s.check != nil {
		s.check.feed(b[:n])
	}
	switch {
	case errors.Is(err, io.EOF):
		s.err = s.end()
	case err != nil:
		s.err = fmt.Errorf("read from %s: %v", s.p.name, err)
	}
	return n, s.err
}

// end judges the whole. It gives io.EOF if it is good.
func (s *stream) end() error {
	<-s.p.exited
	if err := s.p.failure(s.ctx); err != nil {
		return err
	}
	if s.bytes == 0 {
		return fmt.Errorf("%w: %s wrote nothing to its standard output%s", ErrEmpty, s.p.name, s.p.errs.said())
	}
	if s.recipe.words != nil {
		if err := s.recipe.words(s.p.errs.text()); err != nil {
			return fmt.Errorf("%w: %s: %w%s", ErrCommand, s.p.name, err, s.p.errs.said())
		}
	}
	if s.recipe.trailer != nil {
		if err := s.recipe.trailer(s.tail.bytes(), s.bytes); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrCommand, s.p.name, err)
		}
	}
	if s.check != nil {
		if err := s.check.verdict(); err != nil {
			return err
		}
	}
	return io.EOF
}

// openStream starts the command of mode command.
func (t *taking) openStream(ctx context.Context) (*body, error) {
	recipe, err := t.recipe()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	s, join, err := t.stream(ctx, recipe)
	if err != nil {
		cancel()
		return nil, err
	}
	e := snapshot.Entry{Path: recipe.name, Kind: snapshot.Stream, Mode: 0o600, MTime: snapshot.TimeOf(time.Now())}
	return &body{items: one(snapshot.Item{Entry: e, Stream: s}), result: nothingLacks, close: func() error {
		cancel() // ends both commands, where they have not ended
		join()
		return s.out.Close()
	}}, nil
}

// stream starts a recipe's commands. join waits for all of them; ctx ends them.
func (t *taking) stream(ctx context.Context, r recipe) (s *stream, join func(), err error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	s = &stream{ctx: ctx, recipe: r, out: read}
	var all sync.WaitGroup
	if r.verify != nil {
		if s.check, err = t.checker(ctx, r.verify, &all); err != nil {
			return nil, nil, errors.Join(err, closeAll(read, write))
		}
	}
	if s.p, err = start(t.src.Run, t.o.Log, r.argv, stdio{out: write, folder: r.temp.open}); err != nil {
		if s.check != nil {
			s.check.end()
		}
		all.Wait()
		return nil, nil, errors.Join(err, read.Close())
	}
	all.Go(func() { s.p.killWith(ctx) })
	return s, func() {
		all.Wait()
		if s.check != nil {
			s.check.end()
		}
	}, nil
}

func one(item snapshot.Item) iter.Seq2[snapshot.Item, error] {
	return func(yield func(snapshot.Item, error) bool) { yield(item, nil) }
}
