package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/minio/minio-go/v7"

	"github.com/interlock-run/interlock/internal/store"
)

// sumName is the object's metadata entry with the SHA-256 of all its bytes.
const sumName = "Interlock-Sha256"

// A parcel is what is uploaded: in one request, its sum in the signature, so that the server refuses other
// bytes.
type parcel struct {
	key, sum string
	body     io.ReadSeeker
	size     int64
	once     bool // only if its key is absent
}

// Create puts an object under the condition that its key is absent.
func (s *S3) Create(ctx context.Context, key string, data []byte) error {
	if err := store.CheckCreate(key, data); err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	p := parcel{key: key, sum: hex.EncodeToString(sum[:]), body: bytes.NewReader(data), size: int64(len(data)), once: true}
	maybe := false
	f := s.tries(ctx, func() *fault {
		f := s.put(ctx, p)
		if f != nil && f.mute && f.maybe {
			f.again = false // the caller reads back first
		}
		maybe = maybe || f != nil && f.maybe
		return f
	})
	if f == nil {
		return nil
	}
	err := s.said("create", key, f)
	if !maybe {
		return err
	}
	if errors.Is(f.is, store.ErrExists) {
		// By an earlier try of ours, perhaps.
		return fmt.Errorf("cannot tell who created %q in %s: %w", key, s.where, store.ErrAmbiguous)
	}
	return fmt.Errorf("%w: %w", store.ErrAmbiguous, err)
}

// Put puts an object.
func (s *S3) Put(ctx context.Context, key string, body io.ReadSeeker, size int64) error {
	if err := store.CheckPut(key, size); err != nil {
		return err
	}
	p, err := newParcel(key, body, size)
	if err != nil {
		return err
	}
	if f := s.tries(ctx, func() *fault { return s.put(ctx, p) }); f != nil {
		return s.said("write", key, f)
	}
	return nil
}

// newParcel reads the body once, for its sum.
func newParcel(key string, body io.ReadSeeker, size int64) (parcel, error) {
	hash := sha256.New()
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return parcel{}, fmt.Errorf("cannot rewind the body of %q: %w", key, err)
	}
	n, err := io.CopyN(hash, body, size)
	if err != nil {
		return parcel{}, fmt.Errorf("%w: the body of %q ended after %d of %d bytes: %w", store.ErrUse, key, n, size, err)
	}
	return parcel{key: key, sum: hex.EncodeToString(hash.Sum(nil)), body: body, size: size}, nil
}

func (s *S3) put(ctx context.Context, p parcel) *fault {
	return s.one(ctx, func(a *attempt) error {
		if _, err := p.body.Seek(0, io.SeekStart); err != nil {
			return fmt.Errorf("%w: cannot rewind the body of %q: %w", store.ErrUse, p.key, err)
		}
		up := &upload{at: a, left: p.size, body: p.body}
		defer up.revoke()
		opts := minio.PutObjectOptions{DisableContentSha256: true, DisableMultipart: true, UserMetadata: map[string]string{sumName: p.sum}}
		if p.once {
			opts.SetMatchETagExcept("*")
		}
		// Core: one request whatever the size, and the sum of all of it in place of one for each chunk.
		_, err := s.core.PutObject(a.ctx, s.opts.Bucket, s.prefix+p.key, io.LimitReader(up, p.size), p.size, "", p.sum, opts)
		return err
	})
}
