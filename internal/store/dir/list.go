package dir

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"

	"github.com/interlock-run/interlock/internal/store"
)

// List walks folder by folder: one folder's names are in memory at a time, and those above it.
func (d *Dir) List(ctx context.Context, prefix, after string) iter.Seq2[store.Object, error] {
	return func(yield func(store.Object, error) bool) {
		if err := d.gone(); err != nil {
			yield(store.Object{}, err)
			return
		}
		w := walk{dir: d, ctx: ctx, prefix: prefix, after: after, yield: yield}
		if err := w.folder(d.root, ""); err != nil && !errors.Is(err, errStop) {
			yield(store.Object{}, err)
		}
	}
}

var errStop = errors.New("no more is wanted")

type walk struct {
	dir           *Dir
	ctx           context.Context
	prefix, after string
	yield         func(store.Object, error) bool
}

// An entry is a file, or a folder, whose key then ends with a slash: that is how its objects sort.
type entry struct {
	name, key string
	info      fs.FileInfo
}

func (w *walk) folder(at *os.Root, base string) error {
	entries, err := w.entries(at, base)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := w.entry(at, e); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) entry(at *os.Root, e entry) error {
	if err := ended(w.ctx, e.key); err != nil {
		return err
	}
	if !e.info.IsDir() {
		if !w.yield(store.Object{Key: e.key, Size: e.info.Size(), Time: e.info.ModTime()}, nil) {
			return errStop
		}
		return nil
	}
	sub, err := at.OpenRoot(e.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // its last object was deleted meanwhile
	}
	if err != nil {
		return w.dir.fault("open the folder", e.key, err)
	}
	err = w.folder(sub, e.key)
	return firstOf(err, sub.Close())
}

// entries are the wanted ones of one folder in the order of their keys.
func (w *walk) entries(at *os.Root, base string) ([]entry, error) {
	names, err := readNames(at)
	if err != nil {
		return nil, w.dir.fault("list", base, err)
	}
	var found []entry
	for _, name := range names {
		asFile, asFolder := w.wanted(base + name)
		if name[0] == '.' || !asFile && !asFolder {
			continue
		}
		info, err := at.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, w.dir.fault("look at", base+name, err)
		case info.IsDir() && asFolder:
			found = append(found, entry{name, base + name + "/", info})
		case info.Mode().IsRegular() && asFile:
			found = append(found, entry{name, base + name, info})
		}
	}
	slices.SortFunc(found, func(a, b entry) int { return cmp.Compare(a.key, b.key) })
	return found, nil
}

// wanted tells whether key can be in the list itself, or as the folder of some that are.
func (w *walk) wanted(key string) (asFile, asFolder bool) {
	folder := key + "/"
	asFile = strings.HasPrefix(key, w.prefix) && key > w.after
	asFolder = (strings.HasPrefix(folder, w.prefix) || strings.HasPrefix(w.prefix, folder)) &&
		(folder > w.after || strings.HasPrefix(w.after, folder))
	return asFile, asFolder
}

func readNames(at *os.Root) ([]string, error) {
	f, err := at.Open(".")
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	return names, firstOf(err, f.Close())
}
