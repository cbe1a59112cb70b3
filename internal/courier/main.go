package courier

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/internal/store"
	"github.com/interlock-run/interlock/internal/worker"
	"github.com/interlock-run/interlock/supervise"
)

// A Store is what an Opener gives.
type Store interface {
	store.Store
	io.Closer
}

// An Opener opens the place that the configuration names. It asks nothing of a server yet.
type Opener func(config.Store) (Store, error)

// Main is the whole life of a courier: read, do, answer.
func Main(open Opener) int {
	supervise.IgnoreStopSignals() // it takes no orders from whoever signals a whole tree; the guard kills it
	debug.SetGCPercent(100)       // a GOGC in the environment is meant for the payload
	w := &courier{open: open, environ: os.Environ(), out: &lines{to: os.Stdout}}
	w.log = slog.New(&notes{out: w.out})
	r, err := decodeRequest(os.Stdin)
	var a Answer
	if err != nil {
		a = Answer{Code: exit.Internal, Error: err.Error()}
	} else {
		if r.Op == OpBackup && !r.OnStop {
			lower(w.log)
		}
		a = w.guarded(r)
	}
	if err := w.out.say(Line{Answer: &a}); err != nil {
		fmt.Fprintf(os.Stderr, "interlock courier: %s: cannot answer: %v\n", r.Op, err) //nolint:errcheck // nobody is left to tell
		return exit.Internal
	}
	return exit.OK
}

// A courier carries out one request.
type courier struct {
	open    Opener
	environ []string
	out     *lines
	log     *slog.Logger
}

// guarded answers even when the code is wrong.
func (w *courier) guarded(r Request) (a Answer) {
	defer func() {
		if p := recover(); p != nil {
			a = Answer{Code: exit.Internal, Error: fmt.Sprintf("courier %s: panic: %v: report this", r.Op, p)}
		}
	}()
	a, err := w.do(r)
	if err != nil {
		a.Code, a.Error = Code(err, failureOf(r.Op)), oneLine(err)
	}
	return a
}

func (w *courier) do(r Request) (Answer, error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), r.Timeout, fmt.Errorf("not done within %v", r.Timeout))
	defer cancel()
	if err := worker.OnMount(r.Place.StateDir, r.Place.Data, r.Place.Mount); err != nil {
		return Answer{}, exit.With(exit.Mount, err)
	}
	switch r.Op {
	case OpClaim:
		return w.claim(ctx, r)
	case OpRestore:
		return w.restore(ctx, r)
	case OpBackup:
		return w.backup(ctx, r)
	case OpWarm:
		return w.warm(ctx, r)
	case OpDump:
		return w.dump(ctx, r)
	case OpUp, OpDown, OpCut:
		return w.device(ctx, r)
	}
	return Answer{}, exit.Withf(exit.Internal, "courier: operation %q: expected claim, restore, backup, warm, dump, up, down or cut", r.Op)
}

// close ends a session; all that matters was acknowledged before.
func (w *courier) close(s *session) {
	if err := s.store.Close(); err != nil {
		w.log.Warn("closing the snapshot store", "cause", err)
	}
}

// lines is the courier's stdout; progress and the answer come from different goroutines.
type lines struct {
	mu sync.Mutex
	to io.Writer
}

// say writes one line in one piece.
func (l *lines) say(line Line) error {
	data, err := encode(line)
	if err != nil && line.Answer != nil { // an answer too long is still an answer
		line.Answer = &Answer{Code: line.Answer.Code, Error: fmt.Sprintf("%.2000s", line.Answer.Error), Snapshot: snapshot.Snapshot{ID: line.Answer.Snapshot.ID}}
		data, err = encode(line)
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err = l.to.Write(data)
	return err
}

// tell says what nobody depends on: a reader that is gone kills us anyway.
func (l *lines) tell(line Line) { _ = l.say(line) }

// oneLine is the text of an error, joined ones included.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
