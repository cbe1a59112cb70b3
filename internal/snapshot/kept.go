package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/zeebo/blake3"
)

// ParentManifest opens the manifest of a live snapshot from a copy that Draft.Write left, so that an
// increment reads nothing from the store. A copy that is not there, or is another one, costs no more than
// the look: then the store's is opened.
func (r *Repository) ParentManifest(ctx context.Context, kept string, s Snapshot) (*Manifest, error) {
	f, err := os.Open(kept)
	if errors.Is(err, os.ErrNotExist) || kept == "" {
		return r.Manifest(ctx, s)
	}
	if err != nil {
		return nil, fmt.Errorf("kept manifest: %w", err)
	}
	same, err := isCopy(f, s.Manifest)
	if err == nil && same {
		return OpenManifest(f, r.ID, s)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("kept manifest: %w", err)
	}
	return r.Manifest(ctx, s)
}

// isCopy compares a file with what the catalog says, and leaves it at its start.
func isCopy(f *os.File, want Object) (bool, error) {
	hash := blake3.New()
	n, err := io.Copy(hash, io.LimitReader(f, want.Size+1))
	if err != nil {
		return false, err
	}
	_, err = f.Seek(0, io.SeekStart)
	return n == want.Size && Sum(hash.Sum(nil)[:len(Sum{})]) == want.Sum, err
}
