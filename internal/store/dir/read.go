package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"

	"github.com/interlock-run/interlock/internal/store"
)

// Get opens an object; what it gives ends with ctx.
func (d *Dir) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if err := store.CheckGet(key, off, n); err != nil {
		return nil, err
	}
	if err := ended(ctx, key); err != nil {
		return nil, err
	}
	f, size, err := d.open(key)
	if err != nil {
		return nil, err
	}
	if n < 0 {
		n = size - off
	}
	if n < 0 || n > size-off {
		err := fmt.Errorf("%q in %q: %w: %d bytes, expected %d from %d", key, d.path, store.ErrDamaged, size, n, off)
		return nil, firstOf(err, f.Close())
	}
	return &body{dir: d, ctx: ctx, key: key, f: f, part: io.NewSectionReader(f, off, n), left: n}, nil
}

func (d *Dir) open(key string) (*os.File, int64, error) {
	// O_NONBLOCK: a named pipe in an object's place must not hang us.
	f, err := d.root.OpenFile(key, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, firstOf(d.gone(), fmt.Errorf("%q in %q: %w", key, d.path, store.ErrNotFound))
	}
	if err != nil {
		return nil, 0, d.fault("open", key, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("expected a file, not %v", info.Mode())
	}
	if err != nil {
		return nil, 0, firstOf(d.fault("read", key, err), f.Close())
	}
	return f, info.Size(), nil
}

// A body is a part of an object on its way.
type body struct {
	dir  *Dir
	ctx  context.Context
	key  string
	f    *os.File
	part *io.SectionReader
	left int64
}

func (b *body) Read(p []byte) (int, error) {
	if err := ended(b.ctx, b.key); err != nil {
		return 0, err
	}
	n, err := b.part.Read(p)
	b.left -= int64(n)
	switch {
	case errors.Is(err, io.EOF) && b.left > 0:
		return n, fmt.Errorf("%q in %q: %w: it ends %d bytes early", b.key, b.dir.path, store.ErrDamaged, b.left)
	case err != nil && !errors.Is(err, io.EOF):
		return n, b.dir.fault("read", b.key, err)
	}
	return n, err
}

func (b *body) Close() error { return b.f.Close() }

// Delete removes an object, and the folders that are empty then. It syncs nothing: what a power cut brings
// back is garbage to its caller still.
func (d *Dir) Delete(ctx context.Context, key string) error {
	if err := store.CheckKey(key); err != nil {
		return err
	}
	if err := ended(ctx, key); err != nil {
		return err
	}
	if info, err := d.root.Lstat(key); err == nil && info.IsDir() {
		return d.fault("delete", key, syscall.EISDIR)
	}
	err := d.root.Remove(key)
	if errors.Is(err, fs.ErrNotExist) {
		return d.gone()
	}
	if err != nil {
		return d.fault("delete", key, err)
	}
	return d.prune(path.Dir(key))
}

// prune removes empty folders. A creator that wants one again makes it again.
func (d *Dir) prune(folder string) error {
	for ; folder != "."; folder = path.Dir(folder) {
		err := d.root.Remove(folder)
		switch {
		case errors.Is(err, syscall.ENOTEMPTY), errors.Is(err, fs.ErrExist), errors.Is(err, syscall.EBUSY):
			return nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return d.fault("remove the empty folder", folder, err)
		}
	}
	return nil
}
