package pull

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/fstree"
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

func TestSecondDeliveryDoesNotCount(t *testing.T) {
	s := newScene(t)
	target, err := fstree.OpenTarget(s.data, fstree.TargetOptions{Ours: true})
	must(t, err)
	l := &filler{target: target, handles: newHandles(target)}
	f := &file{entry: fstree.Entry{Path: "f", Kind: fstree.File, Size: 8, Meta: fstree.Meta{Mode: 0o600}}, left: 2}
	first := snapshot.Want{Run: snapshot.Run{Len: 4}, For: &share{file: f}}
	must(t, l.deliver(first, []byte("abcd")))
	must(t, l.deliver(first, []byte("abcd")))
	if f.left != 1 || f.w == nil {
		t.Fatalf("%d left: the file was finished early", f.left)
	}
	must(t, l.deliver(snapshot.Want{Run: snapshot.Run{At: 4, Len: 4}, For: &share{file: f}}, []byte("efgh")))
	must(t, target.Close())
	if text, err := os.ReadFile(filepath.Join(s.data, "f")); err != nil || string(text) != "abcdefgh" || f.w != nil {
		t.Errorf("%q, %v", text, err)
	}
}
