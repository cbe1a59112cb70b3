package fstree

import (
	"fmt"
	"slices"

	"github.com/interlock-run/interlock/internal/breakpoint"
	"golang.org/x/sys/unix"
)

// Finish ends it: when all is on disk the start sentinels get their names, and when those are on disk too
// it returns nil. Until then the directory is no whole one.
func (g *Target) Finish() error {
	breakpoint.At("fstree:written")
	if err := g.dropAsides(); err != nil {
		return err
	}
	if err := g.sync(); err != nil {
		return err
	}
	breakpoint.At("fstree:synced")
	for _, s := range g.sentinels {
		if !g.put[s] {
			continue
		}
		if err := g.putBack(s); err != nil {
			return err
		}
		breakpoint.At("fstree:sentinel")
	}
	for _, e := range g.late {
		if err := g.dressDir(&e, e.Mode); err != nil {
			return err
		}
	}
	breakpoint.At("fstree:late")
	if err := g.sync(); err != nil {
		return err
	}
	breakpoint.At("fstree:done")
	return nil
}

// putBack gives a sentinel its name again. Nothing may have taken it meanwhile.
func (g *Target) putBack(path string) error {
	err := g.t.inParent(path, func(dir int, name string) error {
		return unix.Renameat2(dir, name+aside, dir, name, unix.RENAME_NOREPLACE)
	})
	switch err {
	case nil:
		return nil
	case unix.EEXIST:
		return fmt.Errorf("start sentinel %q: %w: something made it during the restore: end that", path, ErrForeign)
	case unix.EINVAL, unix.ENOSYS: // a filesystem without that flag
		err = g.t.inParent(path, func(dir int, name string) error { return unix.Renameat(dir, name+aside, dir, name) })
	}
	return wrap("put back start sentinel", path, err)
}

// dropAsides removes old sentinels that this snapshot does not have.
func (g *Target) dropAsides() error {
	for _, s := range g.sentinels {
		if g.put[s] || !g.ours {
			continue
		}
		if err := g.remove(s + aside); err != nil {
			return err
		}
	}
	return nil
}

// Sentinels are the paths that are put aside, sorted.
func (g *Target) Sentinels() []string { return slices.Clone(g.sentinels) }
