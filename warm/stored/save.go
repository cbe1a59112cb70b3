package stored

import (
	"context"
	"errors"
	"fmt"

	"github.com/interlock-run/interlock/internal/breakpoint"
	"github.com/interlock-run/interlock/internal/fstree"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/warm/item"
)

// Mode is the About.Mode of these snapshots.
const Mode = "cache"

const publishTries = 5

// Save publishes the content that a dump has left in dir. Its mode and labels say what it is; the rest of about
// is the caller's.
func Save(ctx context.Context, r *snapshot.Repository, who snapshot.Holder, dir, scratch string, about snapshot.About) (snapshot.Snapshot, error) {
	none := snapshot.Snapshot{}
	c, err := item.Open(dir) // only a whole dump
	if err != nil {
		return none, err
	}
	if err := c.Close(); err != nil {
		return none, fmt.Errorf("cannot close the cache's content: %w", err)
	}
	about.Mode = Mode
	// Nothing is like the dump before: no parent saves anything.
	draft, err := r.Begin(ctx, who, snapshot.BeginOptions{About: about, TreeBytes: c.Counts.Bytes, Full: true})
	if err != nil {
		return none, err
	}
	breakpoint.At("warm:draft")
	tree, err := fstree.Open(dir, fstree.Options{})
	if err != nil {
		return none, err
	}
	_, err = draft.Write(ctx, snapshot.WriteOptions{Scratch: scratch}, snapshot.TreeItems(tree))
	if err = errors.Join(err, tree.Close()); err != nil {
		return none, err
	}
	breakpoint.At("warm:written")
	var made snapshot.Snapshot
	for range publishTries {
		if made, err = draft.Publish(ctx); !errors.Is(err, snapshot.ErrUncertain) {
			break
		}
	}
	breakpoint.At("warm:published")
	return made, err
}
