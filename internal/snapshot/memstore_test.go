package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/interlock-run/interlock/internal/store"
)

// A memStore is a store in memory with faults. before is asked first and may pause or fail the operation,
// after may lose the reply.
type memStore struct {
	mu      sync.Mutex
	objects map[string][]byte
	before  func(op, key string) error
	after   func(op, key string) error
	cut     func(key string, n int64) int64 // how much of a body arrives
	reads   int64
	gets    int
	puts    []string
	// overwrites: Create is no better than Put.
	overwrites bool
}

func newMemStore() *memStore { return &memStore{objects: map[string][]byte{}} }

func ask(f func(op, key string) error, op, key string) error {
	if f == nil {
		return nil
	}
	return f(op, key)
}

func (m *memStore) Create(ctx context.Context, key string, data []byte) error {
	if err := errors.Join(ctx.Err(), ask(m.before, "create", key)); err != nil {
		return err
	}
	if err := m.set(key, data, true); err != nil {
		return err
	}
	return ask(m.after, "create", key)
}

func (m *memStore) set(key string, data []byte, fresh bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, there := m.objects[key]; there && fresh && !m.overwrites {
		return fmt.Errorf("%s: %w", key, store.ErrExists)
	}
	m.objects[key] = slices.Clone(data)
	m.puts = append(m.puts, key)
	return nil
}

func (m *memStore) Put(ctx context.Context, key string, body io.ReadSeeker, size int64) error {
	if err := errors.Join(ctx.Err(), ask(m.before, "put", key)); err != nil {
		return err
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	if int64(len(data)) != size || size == 0 {
		return fmt.Errorf("%s: body of %d bytes, announced %d", key, len(data), size)
	}
	if err := m.set(key, data, false); err != nil {
		return err
	}
	return ask(m.after, "put", key)
}

func (m *memStore) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if err := errors.Join(ctx.Err(), ask(m.before, "get", key)); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gets++
	data, there := m.objects[key]
	if !there {
		return nil, fmt.Errorf("%s: %w", key, store.ErrNotFound)
	}
	if off+max(n, 0) > int64(len(data)) {
		return nil, fmt.Errorf("%s: %w: %d bytes from %d of %d", key, store.ErrDamaged, n, off, len(data))
	}
	data = data[off:]
	short := false
	if n >= 0 {
		data = data[:min(n, int64(len(data)))]
	}
	m.reads += int64(len(data))
	if m.cut != nil {
		if most := m.cut(key, int64(len(data))); most < int64(len(data)) {
			data, short = data[:most], true
		}
	}
	var body io.Reader = bytes.NewReader(data)
	if short {
		body = io.MultiReader(body, failing{io.ErrUnexpectedEOF})
	}
	return io.NopCloser(body), nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func (m *memStore) List(ctx context.Context, prefix, after string) iter.Seq2[store.Object, error] {
	return func(yield func(store.Object, error) bool) {
		if err := errors.Join(ctx.Err(), ask(m.before, "list", prefix)); err != nil {
			yield(store.Object{}, err)
			return
		}
		for _, o := range m.sorted(prefix, after) {
			if !yield(o, nil) {
				return
			}
		}
	}
}

func (m *memStore) sorted(prefix, after string) []store.Object {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []store.Object
	for key, data := range m.objects {
		if strings.HasPrefix(key, prefix) && key > after {
			list = append(list, store.Object{Key: key, Size: int64(len(data)), Time: time.Unix(0, 0)})
		}
	}
	slices.SortFunc(list, func(a, b store.Object) int { return strings.Compare(a.Key, b.Key) })
	return list
}

func (m *memStore) Delete(ctx context.Context, key string) error {
	if err := errors.Join(ctx.Err(), ask(m.before, "delete", key)); err != nil {
		return err
	}
	m.mu.Lock()
	delete(m.objects, key)
	m.mu.Unlock()
	return ask(m.after, "delete", key)
}

// peek reads without faults.
func (m *memStore) peek(key string) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, there := m.objects[key]
	return data, there
}
