package fstree

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/interlock-run/interlock/internal/breakpoint"
	"github.com/interlock-run/interlock/internal/durable"
	"golang.org/x/sys/unix"
)

// TargetOptions say what may be done to a directory.
type TargetOptions struct {
	Options
	// Ours: what lies in the directory is what a restore of ours left or shall replace. Otherwise nothing
	// that exists is changed or removed: ErrForeign.
	Ours bool
	// Sentinels are paths without which the service does not start. They are out of the way from Begin
	// until all the rest is on disk.
	Sentinels []string
}

// A Target is a directory in which a tree is made. The order of calls, each step as a whole before the next:
// Begin; Sweep, if wanted; Place of directories, links, FIFOs and devices, and Create of files, a directory
// before what is in it; Place of hard links, once all files are created; Seal, once all Writers are
// finished; Finish. Place and Create may be called at once from many goroutines. Every entry of a manifest
// must come by, also one that seems unchanged.
type Target struct {
	t         *Tree
	ours      bool
	root      bool // of the system: we may set owners
	direct    bool // large files are written past the page cache
	sentinels []string

	mu   sync.Mutex
	put  map[string]bool // sentinels that are there again, aside
	late []Entry         // directories that hold them, deepest first
}

// aside is what a sentinel's name ends in while it must not be found.
const aside = ".interlock-last"

// OpenTarget opens an existing directory to make a tree in it. Nothing is changed yet.
func OpenTarget(root string, o TargetOptions) (*Target, error) {
	t, err := Open(root, o.Options)
	if err != nil {
		return nil, err
	}
	var fs unix.Statfs_t
	if err := durable.Retry(func() error { return unix.Fstatfs(t.fd, &fs) }); err != nil {
		return nil, errors.Join(failed("look at the filesystem of", root, err), t.Close())
	}
	g := &Target{t: t, ours: o.Ours, root: os.Geteuid() == 0, put: map[string]bool{},
		direct: slices.Contains(directMagics(), int64(fs.Type))}
	for _, s := range o.Sentinels {
		_, name := split(s)
		err := CheckPath(s)
		if err != nil || s == Root || len(name)+len(aside) > MaxName || t.skip.covers(s) {
			return nil, errors.Join(fmt.Errorf("start sentinel %q: expected the path of a file below the data directory, not an excluded one", s), err, t.Close())
		}
		g.sentinels = append(g.sentinels, s)
	}
	slices.SortFunc(g.sentinels, Compare)
	return g, nil
}

// Begin takes the start sentinels out of the way and sees that this is on disk before anything else
// changes. The old ones keep their content under another name, so that it need not be written again.
func (g *Target) Begin() error {
	if err := g.widen(Root); err != nil {
		return failed("open up", g.t.path, err)
	}
	moved := false
	for _, s := range g.sentinels {
		was, err := g.putAside(s)
		if err != nil {
			return err
		}
		moved = moved || was
	}
	if !moved {
		return nil
	}
	breakpoint.At("fstree:aside")
	if err := g.sync(); err != nil {
		return err
	}
	breakpoint.At("fstree:begun")
	return nil
}

// putAside renames a sentinel, and tells whether there was one.
func (g *Target) putAside(path string) (bool, error) {
	if err := g.clearWay(path); err != nil {
		return false, err
	}
	err := g.t.inParent(path, func(dir int, name string) error {
		if _, err := statAt(dir, name); err != nil {
			return err
		}
		if !g.ours {
			return ErrForeign
		}
		return unix.Renameat(dir, name, dir, name+aside)
	})
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, failed("put start sentinel aside", path, err)
	}
	return true, nil
}

// clearWay removes a link or file that lies where a directory on the way to a sentinel belongs: through a
// link the service would find a sentinel that we do not reach. Directories are opened up for us.
func (g *Target) clearWay(path string) error {
	for i, c := range []byte(path) {
		if c != '/' {
			continue
		}
		st, err := g.look(path[:i])
		if errors.Is(err, unix.ENOENT) {
			return nil
		}
		switch {
		case err != nil:
			return failed("stat", path[:i], err)
		case kindOf(st.Mode) == Dir && !g.ours:
			continue
		case kindOf(st.Mode) == Dir:
			err = g.widen(path[:i])
		case !g.ours:
			err = ErrForeign
		default:
			return g.remove(path[:i])
		}
		if err != nil {
			return failed("make way to start sentinel", path[:i], err)
		}
	}
	return nil
}

// look is statx of a path.
func (g *Target) look(path string) (st unix.Statx_t, err error) {
	if path == Root {
		return statAt(g.t.fd, "")
	}
	err = g.t.inParent(path, func(dir int, name string) (err error) {
		st, err = statAt(dir, name)
		return err
	})
	return st, err
}

// accept refuses what no snapshot of ours holds, before anything is touched.
func (g *Target) accept(e *Entry) error {
	if err := e.Check(); err != nil {
		return err
	}
	for _, p := range []string{e.Path, e.Link} {
		if p != "" && p != Root && g.t.skip.covers(p) {
			return fmt.Errorf("%q: %w: %q is excluded here", e.Path, ErrHostile, p)
		}
	}
	for _, s := range g.sentinels {
		if e.Path == s+aside || e.Path == s && e.Kind == Dir || Below(s, e.Path) {
			return fmt.Errorf("%q: %w: %q is a start sentinel, which is a file", e.Path, ErrHostile, s)
		}
	}
	return nil
}

// where is the path under which an entry is made: that of a sentinel is another until Finish.
func (g *Target) where(path string) string {
	if !slices.Contains(g.sentinels, path) {
		return path
	}
	return path + aside
}

// made remembers that a sentinel is there again.
func (g *Target) made(path string) {
	if slices.Contains(g.sentinels, path) {
		g.mu.Lock()
		g.put[path] = true
		g.mu.Unlock()
	}
}

// sync waits until all of the filesystem is on disk. The descriptor is as old as the Target, so a write
// error of any time since is told.
func (g *Target) sync() error {
	if err := durable.Retry(func() error { return unix.Syncfs(g.t.fd) }); err != nil {
		return failed("sync filesystem of", g.t.path, err)
	}
	return nil
}

// Close frees the directory.
func (g *Target) Close() error { return g.t.Close() }
