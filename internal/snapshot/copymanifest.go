package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// CopyManifest stores the manifest of a live snapshot in a local file, as Draft.Write leaves it, for
// ParentManifest (ErrIdentity: it is encrypted, and there is no key here). A file that is that copy already
// costs no more than the look.
func (r *Repository) CopyManifest(ctx context.Context, s Snapshot, path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("copy of the manifest: %w", err)
	}
	_, same, err := r.isCopy(f, s.Manifest)
	if err == nil && !same {
		err = r.copyManifest(ctx, s, f)
	}
	if err == nil && !same {
		if _, same, err = r.isCopy(f, s.Manifest); err == nil && !same {
			err = damaged("%s: %d bytes are expected, with hash %s", s.ID.manifestKey(), s.Manifest.Size, s.Manifest.Sum)
		}
	}
	return errors.Join(err, f.Close())
}

func (r *Repository) copyManifest(ctx context.Context, s Snapshot, f *os.File) (err error) {
	if err := f.Truncate(0); err != nil {
		return fmt.Errorf("copy of the manifest: %w", err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("copy of the manifest: %w", err)
	}
	body, err := r.store.Get(ctx, s.ID.manifestKey(), 0, -1)
	if err != nil {
		return fmt.Errorf("%s: %w", s.ID.manifestKey(), err)
	}
	err = r.plainCopy(f, body, s.Manifest)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	return errors.Join(err, body.Close())
}
