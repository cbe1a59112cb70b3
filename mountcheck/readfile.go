package mountcheck

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/mountcheck/probe"
)

// readRequest is a file to read, on its way to the goroutine that owns the helper.
type readRequest struct {
	path, rel string
	limit     int
	reply     chan readReply
}

func (r readRequest) step() probe.Step {
	return probe.Step{Op: probe.OpRead, Rel: r.rel, Limit: uint32(r.limit)}
}

type readReply struct {
	data []byte
	err  error
}

// A MountError says that a file could not be read because of its mount.
type MountError struct {
	File    string
	Finding Finding
	Cause   error // the error number, if there was one
}

// Unwrap is the cause.
func (e *MountError) Unwrap() error { return e.Cause }

func (e *MountError) Error() string {
	return fmt.Sprintf("cannot read %s: the mount at %s is %s: %s", e.File, e.Finding.Path, e.Finding.Kind, e.Finding.Detail)
}

// ReadFile reads a small file below a watched mount through its helper. The error wraps fs.ErrNotExist
// only if the file is missing on the mount that was there from the start, and, where a volume id is
// expected, that id is still there. It waits for a probe that is under way, or for ctx.
func (w *Watcher) ReadFile(ctx context.Context, path string, limit int) ([]byte, error) {
	t, r, err := w.toRead(path, limit)
	if err != nil {
		return nil, err
	}
	return w.askRead(ctx, t, r)
}

// toRead finds the target that a file lies on.
func (w *Watcher) toRead(path string, limit int) (*target, readRequest, error) {
	if limit < 0 || limit > probe.MaxRead {
		return nil, readRequest{}, fmt.Errorf("cannot read %s: limit %d, expected 0 to %d", path, limit, probe.MaxRead)
	}
	real, err := w.resolve(path)
	if err != nil {
		return nil, readRequest{}, fmt.Errorf("cannot read %s: %w", path, err)
	}
	t := w.plan.covering(real)
	if t == nil {
		return nil, readRequest{}, fmt.Errorf("cannot read %s: it is on no watched mount", path)
	}
	return t, readRequest{path: path, rel: relative(t.want.Path, real), limit: limit, reply: make(chan readReply, 1)}, nil
}

// resolve follows the links of a path once: reading the whole mount table for each look at the claim costs more
// than a probe, and a link that is changed under a service that runs does not move its data.
func (w *Watcher) resolve(path string) (string, error) {
	w.mu.Lock()
	real, known := w.paths[path]
	w.mu.Unlock()
	if known {
		return real, nil
	}
	tb, err := readTable()
	if err != nil {
		return "", err
	}
	if real, _, err = tb.resolve(path); err != nil {
		return "", err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paths[path] = real
	return real, nil
}

func (w *Watcher) askRead(ctx context.Context, t *target, r readRequest) ([]byte, error) {
	if ctx.Err() != nil { // else a quick answer of a dead helper might be drawn below
		return nil, w.unread(ctx, r.path)
	}
	select {
	case t.reads <- r:
	case <-ctx.Done():
		return nil, w.unread(ctx, r.path)
	case <-w.ctx.Done():
		return nil, w.unread(ctx, r.path)
	}
	select {
	case got := <-r.reply:
		return got.data, got.err
	case <-ctx.Done():
		return nil, w.unread(ctx, r.path)
	}
}

// unread says who waits no longer: the reader, or else the watch.
func (w *Watcher) unread(ctx context.Context, path string) error {
	if ctx.Err() != nil {
		return fmt.Errorf("cannot read %s: %w", path, context.Cause(ctx))
	}
	return fmt.Errorf("cannot read %s: the watch has ended: %w", path, os.ErrClosed)
}

// covering is the watched mountpoint that a path lies below, the deepest one. The table is not asked: the
// mount may be gone, and that is for the target to say.
func (p *plan) covering(path string) (best *target) {
	for _, t := range p.targets {
		if under(t.want.Path, path) && (best == nil || len(t.want.Path) > len(best.want.Path)) {
			best = t
		}
	}
	return best
}

// read runs on the target's own goroutine.
func (t *target) read(ctx context.Context, r readRequest) readReply {
	if err := t.judgeNow(); err != nil {
		return readReply{err: fmt.Errorf("cannot read %s: %w", r.path, err)}
	}
	x, ok := t.exam()
	if !ok {
		return readReply{err: &MountError{File: r.path, Finding: t.verdict(time.Now())}}
	}
	got, f, ok := t.prober.request(ctx, x, r.step())
	if ok && errnoOf(got) == unix.ENOENT {
		var id probe.Reply
		id, f, ok = t.prober.request(ctx, x, probe.Step{Op: probe.OpSentinel})
		x.named = x.sentinel(id)
	}
	if !ok {
		return readReply{err: &MountError{File: r.path, Finding: f}}
	}
	return x.content(got, r.path)
}

// content is what an answer says of a file. That the filesystem is the right one was made sure of before a file is
// called missing on it.
func (x *exam) content(got probe.Reply, path string) readReply {
	switch missing := errnoOf(got) == unix.ENOENT; {
	case got.Status == probe.StatusOK:
		return readReply{data: got.Data}
	case missing && x.want.Volume != "" && x.named.Kind != OK:
		return readReply{err: &MountError{File: path, Finding: x.named}}
	case missing:
		return readReply{err: &fs.PathError{Op: "read", Path: path, Err: fs.ErrNotExist}}
	}
	f := finding(x.want.Path, answerKind(got), answerText(got))
	return readReply{err: &MountError{path, f, errnoOf(got)}}
}

// errnoOf is nil for answers without an error number.
func errnoOf(r probe.Reply) error {
	if r.Status != probe.StatusErrno {
		return nil
	}
	return unix.Errno(r.Errno)
}
