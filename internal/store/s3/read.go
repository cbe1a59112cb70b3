package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/interlock-run/interlock/internal/store"
)

// Get asks for an object or a part of it; what it gives ends with ctx.
func (s *S3) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if err := store.CheckGet(key, off, n); err != nil {
		return nil, err
	}
	var got *body
	f := s.tries(ctx, func() (f *fault) {
		got, f = s.get(ctx, key, off, n)
		return f
	})
	if f != nil && errors.Is(f.is, store.ErrNotFound) {
		if f := s.bucketThere(ctx); f != nil {
			return nil, s.said("read", key, f)
		}
	}
	if f != nil {
		return nil, s.said("read", key, f)
	}
	return got, nil
}

func (s *S3) get(ctx context.Context, key string, off, n int64) (*body, *fault) {
	if ctx.Err() != nil {
		return nil, s.verdict(ctx, false, ctx.Err())
	}
	a := s.attempt(ctx)
	opts := minio.GetObjectOptions{}
	if rest := wantedRange(off, n); rest != "" {
		opts.Set("Range", rest)
	}
	from, _, header, err := s.core.GetObject(a.ctx, s.opts.Bucket, s.prefix+key, opts)
	if err != nil {
		return nil, s.verdict(ctx, a.sent.Load(), a.end(err))
	}
	b := &body{s: s, ctx: ctx, at: a, key: key, from: from}
	if err := b.expect(header, off, n); err != nil {
		// What is wrong is the answer, not how its connection ends.
		_ = b.Close()
		return nil, err
	}
	a.progress(0, true)
	a.timer.Stop()
	return b, nil
}

func wantedRange(off, n int64) string {
	switch {
	case n > 0:
		return fmt.Sprintf("bytes=%d-%d", off, off+n-1)
	case off > 0:
		return fmt.Sprintf("bytes=%d-", off)
	}
	return ""
}

// A body is an answer on its way.
type body struct {
	s     *S3
	ctx   context.Context
	at    *attempt
	key   string
	from  io.ReadCloser
	left  int64         // bytes to come
	spent time.Duration // in waiting for fewer than leastMoved bytes
	moved int
	sum   hash.Hash // of a whole object; nil for a part
	want  string    // its sum
}

// expect compares what is about to come with what was asked for.
func (b *body) expect(h http.Header, off, n int64) *fault {
	length, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	if err != nil {
		return &fault{is: store.ErrUnreachable, cause: errors.New("an answer without its length"), hint: "what stands between us and the server?"}
	}
	b.left = length
	if wantedRange(off, n) == "" {
		b.sum, b.want = sha256.New(), h.Get("X-Amz-Meta-"+sumName)
		return nil
	}
	var first, last int64
	said := h.Get("Content-Range")
	part, _, _ := strings.Cut(strings.TrimPrefix(said, "bytes "), "/")
	if _, err := fmt.Sscanf(part, "%d-%d", &first, &last); err != nil || first != off || last-first+1 != length {
		return &fault{cause: fmt.Errorf("asked for bytes from %d the server answers with %d bytes of range %q", off, length, said),
			hint: "it, or what stands between, does not know ranges"}
	}
	if n > 0 && length != n {
		return &fault{is: store.ErrDamaged, cause: fmt.Errorf("%d bytes from %d, expected %d", length, off, n)}
	}
	return nil
}

// Read counts only the time that it waits itself: a slow caller is not a slow server.
func (b *body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	begun := time.Now()
	b.at.timer.Reset(max(b.at.limit-b.spent, 0))
	n, err := b.from.Read(p)
	b.at.timer.Stop()
	b.spent += time.Since(begun)
	if b.moved += n; b.moved >= leastMoved {
		b.moved, b.spent = 0, 0
	}
	b.left -= int64(n)
	if b.sum != nil {
		b.sum.Write(p[:n])
	}
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF) && b.left <= 0:
		return n, b.whole()
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return n, b.broken(err)
}

// broken: the rest does not come. Whoever wants it asks again.
func (b *body) broken(err error) error {
	if errors.Is(context.Cause(b.at.ctx), errStalled) {
		err = errStalled
	}
	f := b.s.verdict(b.ctx, true, err)
	f.cause = fmt.Errorf("%d bytes are missing: %w", b.left, f.cause)
	return b.s.said("read", b.key, f)
}

// whole is EOF, or an error if the bytes are not those that were uploaded. Another tool may have copied
// the object here without its metadata: then there is no sum.
func (b *body) whole() error {
	if b.sum == nil || b.want == "" || hex.EncodeToString(b.sum.Sum(nil)) == b.want {
		return io.EOF
	}
	return b.s.said("read", b.key, &fault{is: store.ErrDamaged, cause: errors.New("the SHA-256 of its bytes is another than at its upload")})
}

func (b *body) Close() error {
	err := b.from.Close()
	_ = b.at.end(nil) // frees; how it ended is said by Read
	return err
}
