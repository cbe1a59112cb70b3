package backup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// What a freeze command finds in its environment.
const (
	extraVariable = "INTERLOCK_BACKUP_EXTRA" // a folder: files that it leaves there become part of the snapshot
	dataVariable  = "INTERLOCK_BACKUP_DATA"  // the data directory
	storeVariable = "INTERLOCK_BACKUP_STORE" // the store's directory, where it is one: it must not be held
)

// A session is a freeze command that holds the service: it lives until its standard input ends, be it by
// our hand or by our death, and then lets go.
//
// On its standard output it says, a line each: `moving`, if files may change while they are read because
// the service mends that from its log; `exclude PATTERN` for what must not be copied; then `ready` once the
// service is held. It thaws at the end of its standard input, and exits 0 if all went well.
type session struct {
	p       *process
	limit   time.Duration
	extra   string
	moving  bool
	exclude []string
	hold    *os.File // its standard input: closing it thaws
	release sync.Once
	letErr  error // of that closing
	ended   bool
	said    *os.File
	lines   *bufio.Reader
	thawing chan struct{} // closed once its end is wanted
	all     sync.WaitGroup
}

// stampStep is longer than the step of the clock that stamps files: a write that comes later bears another
// time than one before the freeze.
const stampStep = 20 * time.Millisecond

// freeze starts the freeze command and waits until it is ready. cancel is called should it end too early.
func (t *taking) freeze(ctx context.Context, cancel context.CancelCauseFunc) (*session, error) {
	extra, err := t.work.folder("extra")
	if err != nil {
		return nil, err
	}
	s, err := t.session(extra)
	if err != nil {
		return nil, err
	}
	if err := s.ready(ctx); err != nil {
		return nil, errors.Join(err, s.end())
	}
	s.all.Go(func() {
		<-s.p.exited
		select {
		case <-s.thawing:
			return
		default:
		}
		cancel(fmt.Errorf("%w: %s ended while the files were copied%s", ErrCommand, s.p.name, s.p.errs.said()))
	})
	s.all.Go(func() { _, _ = io.Copy(io.Discard, s.lines) }) // its output may not fill up
	// Whoever stores may hang where it cannot be told that the time is over, in the very filesystem that is frozen, or
	// in a store that does not answer. The service must not be held for that.
	s.all.Go(func() {
		select {
		case <-ctx.Done():
			_ = s.letGo() // end says it
		case <-s.p.exited:
		}
	})
	point("frozen")
	if !s.moving && !pause(ctx, stampStep) {
		return nil, errors.Join(context.Cause(ctx), s.end())
	}
	return s, nil
}

func (t *taking) session(extra folder) (*session, error) {
	in, hold, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	said, out, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, closeAll(in, hold))
	}
	env := []string{extraVariable + "=" + extra.seen, dataVariable + "=" + t.src.Data}
	if t.src.Store != "" {
		env = append(env, storeVariable+"="+t.src.Store)
	}
	p, err := start(t.src.Run, t.o.Log, t.src.Freeze, stdio{in: in, out: out, env: env, folder: extra.open})
	if err != nil {
		return nil, errors.Join(err, closeAll(hold, said))
	}
	return &session{p: p, limit: t.src.limit(), extra: extra.dir, hold: hold, said: said, thawing: make(chan struct{}), lines: bufio.NewReaderSize(said, lineMost)}, nil
}

// ready reads what the command says until it is ready.
func (s *session) ready(ctx context.Context) error {
	if err := s.said.SetReadDeadline(time.Now().Add(s.limit)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.said.SetReadDeadline(time.Unix(1, 0)) }) // the read below ends by it
	defer stop()
	for {
		line, err := s.lines.ReadString('\n')
		if ctx.Err() != nil {
			return fmt.Errorf("%s was ended: %w", s.p.name, context.Cause(ctx))
		}
		if err != nil {
			return s.notReady(err)
		}
		done, err := s.hear(strings.TrimSpace(line))
		if err != nil || done {
			return errors.Join(err, s.said.SetReadDeadline(time.Time{}))
		}
	}
}

func (s *session) notReady(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w: %s: expected the line `ready` within %s%s", ErrCommand, s.p.name, s.limit, s.p.errs.said())
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %s ended, or closed its output, before it was ready", ErrCommand, s.p.name)
	}
	return fmt.Errorf("read from %s: %w", s.p.name, err)
}

// hear takes one line.
func (s *session) hear(line string) (ready bool, err error) {
	word, rest, _ := strings.Cut(line, " ")
	switch {
	case line == "ready":
		return true, nil
	case line == "moving":
		s.moving = true
	case word == "exclude" && rest != "":
		s.exclude = append(s.exclude, rest)
	default:
		return false, fmt.Errorf("%w: %s said %.100q: expected `moving`, `exclude PATTERN` or `ready`", ErrCommand, s.p.name, line)
	}
	return false, nil
}

// letGo ends the command's input, once.
func (s *session) letGo() error {
	s.release.Do(func() {
		close(s.thawing)
		s.letErr = s.hold.Close()
	})
	return s.letErr
}

// thaw lets the service go and wants to hear that all went well, up to this moment.
func (s *session) thaw() error {
	if s.ended {
		return nil
	}
	select {
	case <-s.p.exited:
		return errors.Join(fmt.Errorf("%w: %s ended before it was told to thaw (%v)%s", ErrCommand, s.p.name, s.p.err, s.p.errs.said()), s.end())
	default:
		return s.end()
	}
}

// end thaws in any case: by the end of the command's input, and where that does not help by force.
func (s *session) end() error {
	if s.ended {
		return nil
	}
	s.ended = true
	err := s.letGo()
	timer := time.NewTimer(s.limit)
	defer timer.Stop()
	select {
	case <-s.p.exited:
		if s.p.err != nil {
			err = errors.Join(err, fmt.Errorf("%w: %s did not thaw well: %w%s", ErrCommand, s.p.name, s.p.err, s.p.errs.said()))
		}
	case <-timer.C:
		err = errors.Join(err, fmt.Errorf("%w: %s did not thaw within %s and was killed%s: look whether the service is still held", ErrCommand, s.p.name, s.limit, s.p.errs.said()))
		s.p.kill()
		<-s.p.exited
	}
	err = errors.Join(err, s.said.SetReadDeadline(time.Unix(1, 0)))
	s.all.Wait()
	point("thawed")
	return errors.Join(err, s.said.Close())
}
