package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/interlock-run/interlock/internal/snapshot"
)

// openFile runs a command that writes a file, verifies that, and gives it as a tree: a directory with this
// one file, owned like the data directory where there is one.
func (t *taking) openFile(ctx context.Context, p preset) (*body, error) {
	r, err := t.recipe()
	if err != nil {
		return nil, err
	}
	path, seen := filepath.Join(r.temp.dir, r.name), r.argv[len(r.argv)-1]
	if err := t.runToEnd(ctx, r.argv, r.temp); err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		return nil, fmt.Errorf("%w: %s ended well and has not written %q (%v)", ErrEmpty, p.program, path, err)
	}
	if err := t.runToEnd(ctx, append(r.verify, seen), r.temp); err != nil {
		return nil, fmt.Errorf("the file was not verified: %w", err)
	}
	items, err := t.fileItems(path)
	if err != nil {
		return nil, err
	}
	return &body{items: items, result: nothingLacks, close: func() error { return os.Remove(path) }}, nil
}

// runToEnd runs a command whose output is words.
func (t *taking) runToEnd(ctx context.Context, argv []string, temp folder) error {
	p, err := start(t.src.Run, t.o.Log, argv, stdio{folder: temp.open, both: true})
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	all.Go(func() { p.killWith(ctx) })
	all.Wait()
	return p.failure(ctx)
}

func (t *taking) fileItems(path string) (iter.Seq2[snapshot.Item, error], error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	uid, gid, mode := uint32(os.Geteuid()), uint32(os.Getegid()), uint32(0o700)
	if c := t.src.Run.Credential; c != nil {
		uid, gid = c.Uid, c.Gid
	}
	if t.src.Data != "" {
		above, err := os.Stat(t.src.Data)
		if err != nil {
			return nil, fmt.Errorf("data directory: %w", err)
		}
		if st, ok := above.Sys().(*syscall.Stat_t); ok {
			uid, gid, mode = st.Uid, st.Gid, st.Mode&0o7777
		}
	}
	at := snapshot.TimeOf(info.ModTime())
	root := snapshot.Entry{Path: snapshot.Root, Kind: snapshot.Dir, Mode: mode, UID: uid, GID: gid, MTime: at}
	file := snapshot.Entry{Path: filepath.Base(path), Kind: snapshot.File, Mode: 0o640, UID: uid, GID: gid, MTime: at}
	file.File = snapshot.FileInfo{Size: info.Size(), Racy: true} // what the next one is cannot be told from times
	return func(yield func(snapshot.Item, error) bool) {
		_ = yield(snapshot.Item{Entry: root}, nil) &&
			yield(snapshot.Item{Entry: file, Open: func() (snapshot.Content, error) { return openPlain(path) }}, nil)
	}, nil
}

// A plainFile is an open file whose absent bytes are an error.
type plainFile struct{ *os.File }

func openPlain(path string) (snapshot.Content, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return plainFile{f}, nil
}

// ReadAt reads as os.File does; io.EOF before the size is for the writer to judge.
func (f plainFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("read %q: %w", f.Name(), err)
	}
	return n, err
}
