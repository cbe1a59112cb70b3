package drain

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"time"

	"github.com/interlock-run/interlock/internal/breakpoint"
	"github.com/interlock-run/interlock/warm/memcached"
)

// Options of a listing.
type Options struct {
	Mode   string        // hash or all
	Folder string        // for the list, some tens of bytes an item; a local disk or memory
	Stall  time.Duration // without a report for so long the reader is killed; 0: 1 s
	Start  time.Duration // for it to start and connect; 0: 30 s
	Silent time.Duration // the server may say nothing for so long; 0: 60 s
	Death  time.Duration // for a reader that was killed to end; 0: 10 s
	Path   string        // of the program that calls Main; empty: this one

	// Follow gets the entries while the list grows, as Spool.Entries gives them afterwards; nil: nobody does.
	// What it made of them is void when List fails; its own error ends the listing.
	Follow func(iter.Seq2[Entry, error]) error `json:"-"`
	// Stuck is told when a reader that was killed does not end. Whoever touches a file of its folder then, if only to
	// close it, may sleep there for as long: Follow, too, for whose end List waits. nil: nobody is.
	Stuck func(error) `json:"-"`
}

func (o Options) filled() Options {
	set := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	set(&o.Stall, time.Second)
	set(&o.Start, 30*time.Second)
	set(&o.Silent, time.Minute)
	set(&o.Death, 10*time.Second)
	if o.Stuck == nil {
		o.Stuck = func(error) {}
	}
	if o.Path == "" {
		o.Path = "/proc/self/exe"
	}
	return o
}

// List has the server's keys listed once. The process that reads them is gone when it returns; with ErrStuck it is
// not, but its connection is, and the list's file is left behind with it.
func List(ctx context.Context, s memcached.Server, o Options) (*Spool, error) {
	o = o.filled()
	if o.Mode != "hash" && o.Mode != "all" {
		return nil, fmt.Errorf("%w: listing %q, expected hash or all", ErrReader, o.Mode)
	}
	file, err := nameless(o.Folder)
	if err != nil {
		return nil, fmt.Errorf("%w: folder %s: %w", ErrSpool, o.Folder, err)
	}
	spool := &Spool{file: file}
	err = spool.fill(ctx, s, o)
	switch {
	case errors.Is(err, ErrStuck):
		return nil, fmt.Errorf("memcached %s: %w", s, err)
	case err != nil:
		return nil, errors.Join(fmt.Errorf("memcached %s: %w", s, err), file.Close())
	}
	return spool, nil
}

// fill reads the list, with somebody who follows. How far that one is never keeps the reader waiting.
func (p *Spool) fill(ctx context.Context, s memcached.Server, o Options) error {
	if o.Follow == nil {
		return p.read(ctx, s, o, func() {})
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	g := newGrowing(p.file)
	ended := make(chan error, 1)
	go func() {
		err := o.Follow(func(yield func(Entry, error) bool) { lines(g, yield) })
		if err != nil {
			cancel(err) // nobody wants the rest
		}
		ended <- err
	}()
	err := p.read(ctx, s, o, g.grown)
	g.end(err)
	if failed := <-ended; err == nil {
		err = failed
	}
	return err
}

func (p *Spool) read(ctx context.Context, s memcached.Server, o Options, grown func()) error {
	begun := time.Now()
	last, err := run(ctx, s, o, p.file, grown)
	p.Bytes, p.Took = last.Bytes, time.Since(begun)
	return err
}

// nameless makes a file that goes when the last process that has it open ends.
func nameless(folder string) (*os.File, error) {
	f, err := os.CreateTemp(folder, ".keys-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// follow waits for the last report. Silence is a stall from the moment on that the command is sent. Once in a
// row it may be ours: who stood still hears nothing.
func follow(ctx context.Context, messages <-chan message, o Options, grown func()) (message, error) {
	limit, heard, excused := o.Start, time.Now(), false
	silence := time.NewTimer(limit)
	defer silence.Stop()
	for {
		select {
		case m, ok := <-messages:
			if !ok {
				return m, fmt.Errorf("%w: it ended without a word", ErrReader)
			}
			if m.Done {
				return m, m.err()
			}
			grown()
			if m.Begun {
				breakpoint.At("drain:begun")
				limit = o.Stall
			}
			heard, excused = time.Now(), false
			silence.Reset(limit)
		case <-silence.C:
			if late := time.Since(heard) - limit; late < limit/2 || excused {
				return message{}, fmt.Errorf("%w: no report for %v, it was killed", ErrStalled, limit)
			}
			heard, excused = time.Now(), true
			silence.Reset(limit)
		case <-ctx.Done():
			return message{}, context.Cause(ctx)
		}
	}
}

// err is the error that the reader tells of.
func (m message) err() error {
	if m.Text == "" {
		return nil
	}
	kind, known := kinds()[m.Kind]
	if !known {
		kind = ErrReader
	}
	return &told{kind, m.Text}
}

// told is an error of another process.
type told struct {
	kind error
	text string
}

func (t *told) Error() string { return t.text }
func (t *told) Unwrap() error { return t.kind }
