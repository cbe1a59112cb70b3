package snapshot

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/zeebo/blake3"
)

// ParentManifest opens the manifest of a live snapshot from a copy that Draft.Write left, so that an
// increment reads nothing from the store. A copy that is not there, or is another one, costs no more than
// the look: then the store's is opened. ErrIdentity: that one is encrypted, and there is no key here: then
// the next snapshot is a full one, which whoever takes it should say.
func (r *Repository) ParentManifest(ctx context.Context, kept string, s Snapshot) (*Manifest, error) {
	f, err := os.Open(kept)
	if errors.Is(err, os.ErrNotExist) || kept == "" {
		return r.Manifest(ctx, s)
	}
	if err != nil {
		return nil, fmt.Errorf("kept manifest: %w", err)
	}
	plain, same, err := r.isCopy(f, s.Manifest)
	if err == nil && same {
		s.Manifest = plain
		return OpenManifest(keptFile{io.LimitReader(f, plain.Size), f}, r.ID, s)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("kept manifest: %w", err)
	}
	return r.Manifest(ctx, s)
}

type keptFile struct {
	io.Reader
	io.Closer
}

// isCopy tells whether a file is a whole copy of what the catalog names, and what its manifest then is. It
// leaves the file at its start.
func (r *Repository) isCopy(f *os.File, want Object) (plain Object, same bool, err error) {
	info, err := f.Stat()
	if err != nil {
		return want, false, err
	}
	plain, size := want, info.Size()
	if r.seal != nil {
		var stored Object
		size -= keptEndSize
		if plain, stored, err = readKeptEnd(f, size); err != nil || stored != want {
			return want, false, err
		}
	}
	if size != plain.Size {
		return want, false, nil
	}
	hash := blake3.New()
	if _, err := io.Copy(hash, io.LimitReader(f, size)); err != nil {
		return want, false, err
	}
	_, err = f.Seek(0, io.SeekStart)
	return plain, Sum(hash.Sum(nil)[:len(Sum{})]) == plain.Sum, err
}

// plainCopy writes the copy of a stored manifest as Draft.Write leaves it.
func (r *Repository) plainCopy(out io.Writer, stored io.Reader, want Object) error {
	stored = marked{io.LimitReader(stored, want.Size+1)}
	if r.seal == nil {
		_, err := io.Copy(out, stored)
		return err
	}
	from, to := blake3.New(), blake3.New()
	body, err := r.opened(io.TeeReader(stored, from))
	if err != nil {
		return errorOf(err)
	}
	n, err := io.Copy(io.MultiWriter(out, to), body)
	if err != nil {
		return errorOf(err)
	}
	sum := func(h *blake3.Hasher) Sum { return Sum(h.Sum(nil)[:len(Sum{})]) }
	if got := sum(from); got != want.Sum {
		return damaged("a manifest with hash %s, the catalog says %s", got, want.Sum)
	}
	_, err = out.Write(keptEnd(Object{n, want.Raw, sum(to)}, want))
	return err
}

// keptEnd is what follows the plain copy of an encrypted manifest: a skippable zstd frame that tells what
// the copy is, and which stored object it is the copy of. The catalog knows only that one.
func keptEnd(plain, stored Object) []byte {
	b := binary.LittleEndian.AppendUint32(nil, skippable)
	b = binary.LittleEndian.AppendUint32(b, keptEndSize-8)
	for _, o := range []Object{plain, stored} {
		b = binary.LittleEndian.AppendUint64(b, uint64(o.Size))
		b = binary.LittleEndian.AppendUint64(b, uint64(o.Raw))
		b = append(b, o.Sum[:]...)
	}
	return b
}

const keptEndSize = 8 + 2*(8+8+16)

// readKeptEnd reads that back from its place; zeros for anything else.
func readKeptEnd(f *os.File, at int64) (plain, stored Object, err error) {
	var all [keptEndSize]byte
	if at <= 0 {
		return plain, stored, nil
	}
	if _, err := f.ReadAt(all[:], at); err != nil {
		return plain, stored, err
	}
	if !bytes.HasPrefix(all[:], keptEnd(Object{}, Object{})[:8]) {
		return plain, stored, nil
	}
	b := all[8:]
	for _, o := range []*Object{&plain, &stored} {
		o.Size, o.Raw = int64(binary.LittleEndian.Uint64(b)), int64(binary.LittleEndian.Uint64(b[8:]))
		o.Sum = Sum(b[16:])
		b = b[16+len(Sum{}):]
	}
	return plain, stored, nil
}
