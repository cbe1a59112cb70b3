package pull

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/internal/store"
	"github.com/interlock-run/interlock/internal/store/dir"
	"github.com/interlock-run/interlock/restore"
)

// A flaky store gives each pack spoiled at first: a frame is delivered in part, and then again.
type flaky struct {
	store.Store
	mu   sync.Mutex
	seen map[string]bool
}

func (f *flaky) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	body, err := f.Store.Get(ctx, key, off, n)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil || f.seen[key] || !strings.HasSuffix(key, ".pack") {
		return body, err
	}
	f.seen[key] = true
	return &spoiled{ReadCloser: body, at: n * 9 / 10}, nil
}

// spoiled has one byte flipped.
type spoiled struct {
	io.ReadCloser
	at int64
}

func (s *spoiled) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if s.at >= 0 && s.at < int64(n) {
		p[s.at] ^= 1
	}
	s.at -= int64(n)
	return n, err
}

func TestFlakyStore(t *testing.T) {
	s := newScene(t)
	s.database(t)
	s.takes(t)
	d, err := dir.Open(s.store)
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	f := &flaky{Store: d, seen: map[string]bool{}}
	s.repo, err = snapshot.Open(t.Context(), f, time.Now)
	must(t, err)
	s.restores(t, Settings{}, restore.Run)
	s.same(t)
	if len(f.seen) == 0 {
		t.Error("nothing was spoiled")
	}
}
