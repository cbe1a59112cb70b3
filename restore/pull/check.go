package pull

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/fstree"
	"github.com/interlock-run/interlock/internal/snapshot"
)

// ErrDiffers: a tree is not what the snapshot says.
var ErrDiffers = errors.New("the tree differs from the snapshot")

// A lost is what could not be restored, so that a comparison passes over it.
type lost struct{ owner, setID, device, xattr, root bool }

func (l *lost) add(n fstree.Note) {
	switch n.Kind {
	case fstree.NoteOwner:
		l.owner = true
	case fstree.NoteSetID:
		l.setID = true
	case fstree.NoteDevice:
		l.device = true
	case fstree.NoteLost:
		l.xattr = true
	case fstree.NoteRoot:
		l.root = true
	}
}

// unprivileged is what nobody but root restores.
func unprivileged() lost {
	mine := os.Geteuid() != 0
	return lost{owner: mine, setID: mine, device: mine, root: mine}
}

// withManifest calls f with a copy of the manifest in a temporary directory.
func withManifest(ctx context.Context, j Job, f func(*source) error) error {
	dir, err := os.MkdirTemp("", "interlock-")
	if err != nil {
		return fmt.Errorf("place for the manifest: %w", err)
	}
	src := &source{j.Repo, j.Choice.Snapshot, filepath.Join(dir, manifestFile)}
	err = j.Repo.CopyManifest(ctx, src.snap, src.path)
	if err == nil {
		err = f(src)
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// differencesMost is how many are named.
const differencesMost = 5

func (s *source) verify(ctx context.Context, data string, exclude []string, l lost) error {
	v := &verdict{lost: l}
	if err := s.against(ctx, data, exclude, l, v); err != nil {
		return err
	}
	if v.count == 0 {
		return nil
	}
	slices.Sort(v.first)
	return exit.Withf(exit.Restore, "%w in %d places: %s", ErrDiffers, v.count, strings.Join(v.first, ", "))
}

// against compares a directory with the snapshot.
func (s *source) against(ctx context.Context, data string, exclude []string, l lost, j judge) error {
	tree, err := fstree.Open(data, fstree.Options{Exclude: exclude})
	if err != nil {
		return err
	}
	c := &comparison{src: s, tree: tree, lost: l, judge: j}
	return errors.Join(c.do(ctx), tree.Close())
}

// A verdict counts differences.
type verdict struct {
	lost  lost
	mu    sync.Mutex
	count int64
	first []string
}

func (v *verdict) add(path, what string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.count++; len(v.first) < differencesMost {
		v.first = append(v.first, fmt.Sprintf("%.200q %s", path, what))
	}
}

func (v *verdict) extra(path string) { v.add(path, "is not in the snapshot") }

func (v *verdict) missing(e *snapshot.Entry, _ *snapshot.Manifest) error {
	if !v.lost.device || e.Kind != snapshot.Char && e.Kind != snapshot.Block {
		v.add(e.Path, "is missing")
	}
	return nil
}

func (v *verdict) both(p *pair) {
	if p.what != "" {
		v.add(p.path, p.what)
	}
}
