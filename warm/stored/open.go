package stored

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"time"

	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/warm/item"
)

// Open reads the content of a snapshot from its store. It must be closed; the end of ctx ends all reading.
func Open(ctx context.Context, r *snapshot.Repository, s snapshot.Snapshot) (*item.Cache, error) {
	m, err := r.Manifest(ctx, s)
	if err != nil {
		return nil, err
	}
	f := &files{ctx: ctx, repo: r, all: map[string]*entry{}}
	if err := errors.Join(f.read(m), m.Close()); err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", s.ID, err)
	}
	c, err := item.OpenFS(f, func() error { return nil })
	if err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", s.ID, err)
	}
	return c, nil
}

// files are those of a snapshot, as an fs.FS.
type files struct {
	ctx  context.Context
	repo *snapshot.Repository
	all  map[string]*entry
}

// entry is one file and where its bytes are. It is its own fs.FileInfo.
type entry struct {
	name  string
	size  int64
	wants []snapshot.Want
}

func (e *entry) Name() string       { return path.Base(e.name) }
func (e *entry) Size() int64        { return e.size }
func (e *entry) Mode() fs.FileMode  { return 0o600 }
func (e *entry) ModTime() time.Time { return time.Time{} }
func (e *entry) IsDir() bool        { return false }
func (e *entry) Sys() any           { return nil }

// read takes the whole list: some thousand places for a content of gigabytes.
func (f *files) read(m *snapshot.Manifest) error {
	for {
		e, err := m.NextEntry()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if e.Kind != snapshot.File {
			continue
		}
		kept := &entry{name: e.Path, size: e.File.Size}
		var bad error
		m.EntryWants(e)(func(w snapshot.Want, err error) bool {
			if bad = err; err == nil {
				kept.wants = append(kept.wants, w)
			}
			return err == nil
		})
		if bad != nil {
			return bad
		}
		f.all[kept.name] = kept
	}
}

// Stat is of fs.StatFS.
func (f *files) Stat(name string) (fs.FileInfo, error) {
	e, ok := f.all[name]
	if !ok {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return e, nil
}

// ahead is how many frames of a file are read ahead: a load reads some files at once, and shall stay small.
const ahead = 2

// Open begins to read a file from its start. Close it, or a goroutine goes on.
func (f *files) Open(name string) (fs.File, error) {
	e, ok := f.all[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	ctx, cancel := context.WithCancel(f.ctx)
	out, in := io.Pipe()
	s := &stream{entry: e, out: out, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		runs := func(yield func(snapshot.Want, error) bool) {
			for _, w := range e.wants {
				if !yield(w, nil) {
					return
				}
			}
		}
		err := f.repo.StreamAhead(ctx, ahead, in, e.size, runs, nil)
		in.CloseWithError(err) // nil is io.EOF
	}()
	return s, nil
}

// stream is one file while it is read.
type stream struct {
	entry  *entry
	out    *io.PipeReader
	cancel context.CancelFunc
	done   chan struct{}
}

func (s *stream) Stat() (fs.FileInfo, error) { return s.entry, nil }
func (s *stream) Read(p []byte) (int, error) { return s.out.Read(p) }

// Close ends the reading, wherever it is.
func (s *stream) Close() error {
	s.cancel()
	_ = s.out.Close() // of a pipe: never fails
	<-s.done
	return nil
}
