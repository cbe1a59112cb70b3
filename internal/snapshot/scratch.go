package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/interlock-run/interlock/internal/store"
	"github.com/zeebo/blake3"
)

// A hashedFile is an object that is being made in the scratch directory. It has no name there: it is gone
// once it is closed, however the program ends.
type hashedFile struct {
	file *os.File // not embedded: its WriteString would pass by the hash
	hash *blake3.Hasher
	size int64
}

func unnamed(dir string) (*hashedFile, error) {
	f, err := os.CreateTemp(dir, "sealed-*.tmp")
	if err != nil {
		return nil, fmt.Errorf("scratch directory: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, fmt.Errorf("scratch directory: %w", errors.Join(err, f.Close()))
	}
	return &hashedFile{file: f, hash: blake3.New()}, nil
}

func (f *hashedFile) Write(p []byte) (int, error) {
	n, err := f.file.Write(p)
	_, _ = f.hash.Write(p[:n]) // a hash takes all there is
	f.size += int64(n)
	return n, err
}

// object is what was written.
func (f *hashedFile) object(raw int64) Object {
	return Object{Size: f.size, Raw: raw, Sum: Sum(f.hash.Sum(nil)[:len(Sum{})])}
}

func (f *hashedFile) store(ctx context.Context, st store.Store, key string) error {
	if err := st.Put(ctx, key, io.NewSectionReader(f.file, 0, f.size), f.size); err != nil {
		return fmt.Errorf("store %s: %w", key, err)
	}
	return nil
}

// storeManifest stores the finished manifest, and says what was stored. Of an encrypted one the copy stays
// plain, and learns which stored one it is the copy of.
func (d *Draft) storeManifest(ctx context.Context, scratch string, plain Object, copied *os.File) (_ Object, err error) {
	key, body := d.Snapshot.ID.manifestKey(), io.NewSectionReader(copied, 0, plain.Size)
	if d.repo.seal == nil {
		if err := d.repo.store.Put(ctx, key, body, plain.Size); err != nil {
			return Object{}, fmt.Errorf("store %s: %w", key, err)
		}
		return plain, nil
	}
	out, err := unnamed(scratch)
	if err != nil {
		return Object{}, err
	}
	defer func() { err = errors.Join(err, out.file.Close()) }()
	in, err := d.repo.seal.sealed(out)
	if err == nil {
		_, err = io.Copy(in, body)
	}
	if err == nil {
		err = in.Close()
	}
	object := out.object(plain.Raw)
	if err == nil {
		_, err = copied.WriteAt(keptEnd(plain, object), plain.Size)
	}
	if err != nil {
		return Object{}, fmt.Errorf("encrypt the manifest in the scratch directory: %w", err)
	}
	return object, out.store(ctx, d.repo.store, key)
}
