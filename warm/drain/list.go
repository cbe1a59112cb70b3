package drain

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

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
	Path   string        // of the program that calls Main; empty: this one

	// Follow gets the entries while the list grows, as Spool.Entries gives them afterwards; nil: nobody does.
	// What it made of them is void when List fails; its own error ends the listing.
	Follow func(iter.Seq2[Entry, error]) error `json:"-"`
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
	if o.Path == "" {
		o.Path = "/proc/self/exe"
	}
	return o
}

// List has the server's keys listed once. The process that reads them is gone when it returns.
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
	if err := spool.fill(ctx, s, o); err != nil {
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
	last, err := read(ctx, s, o, p.file, grown)
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

// read runs the process and listens to it until it is gone.
func read(ctx context.Context, s memcached.Server, o Options, spool *os.File, grown func()) (last message, err error) {
	cmd := &exec.Cmd{Path: o.Path, Args: []string{Role}, Stderr: os.Stderr, ExtraFiles: []*os.File{spool},
		SysProcAttr: &unix.SysProcAttr{Setpgid: true}} // so that a signal for the terminal's group does not stop it
	in, err := cmd.StdinPipe()
	if err != nil {
		return last, fmt.Errorf("%w: %w", ErrReader, err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return last, fmt.Errorf("%w: %w", ErrReader, err)
	}
	if err := cmd.Start(); err != nil {
		return last, fmt.Errorf("%w: %w", ErrReader, err)
	}
	messages := make(chan message, 64)
	go hear(out, messages)
	err = json.NewEncoder(in).Encode(request{Server: s, Mode: o.Mode, Silent: o.Silent})
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrReader, err)
	} else {
		last, err = follow(ctx, messages, o, grown)
	}
	// It has said its last word, or shall not say it. A stopped process dies of SIGKILL too.
	_ = cmd.Process.Kill()
	for range messages { // until hear ends
	}
	_ = cmd.Wait() // how it ended is no news: what counts is its last message
	return last, err
}

// hear passes the reports on until the process is dead.
func hear(out io.Reader, to chan<- message) {
	defer close(to)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var m message
		if json.Unmarshal(lines.Bytes(), &m) != nil {
			return
		}
		to <- m
	}
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
