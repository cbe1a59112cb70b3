package dir

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/interlock-run/interlock/internal/store"
)

// A Dir is an open repository directory. Close it once no call is on its way.
type Dir struct {
	root *os.Root
	path string
	mode fs.FileMode // of folders in it: the directory's own, without others
}

var _ store.Store = (*Dir)(nil)

// Open opens an existing directory: an absent one may be a mount that is missing, and is ErrNoPlace.
func Open(path string) (*Dir, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("store directory %q: %w: expected an absolute path", path, store.ErrUse)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, opening(path, err)
	}
	info, err := root.Stat(".")
	if err != nil {
		return nil, opening(path, firstOf(err, root.Close()))
	}
	return &Dir{root: root, path: path, mode: info.Mode().Perm()&0o770 | 0o700}, nil
}

// Close frees the directory.
func (d *Dir) Close() error { return d.root.Close() }

// gone tells a directory that was removed while open from one that lacks an object.
func (d *Dir) gone() error {
	info, err := d.root.Stat(".")
	if err != nil {
		return d.fault("look at", ".", err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Nlink == 0 {
		return fmt.Errorf("store directory %q: %w: it was removed", d.path, store.ErrNoPlace)
	}
	return nil
}

func ended(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: given up: %w", key, context.Cause(ctx))
	}
	return nil
}

// firstOf returns the error that matters; the other one only followed from it.
func firstOf(err, later error) error {
	if err != nil {
		return err
	}
	return later
}
