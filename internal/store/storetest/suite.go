package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/store"
)

// limit bounds one test of the suite.
const limit = 60 * time.Second

// A Harness makes the places that a driver is tested on.
type Harness struct {
	// Fresh makes an empty place. Each call of open gives a store of its own on it, as another process
	// would have; all are closed by the test's end.
	Fresh func(t *testing.T) (open func() store.Store)
}

// bench is one test's place.
type bench struct {
	*testing.T
	ctx  context.Context
	open func() store.Store
	s    store.Store
}

// Run is the suite.
func Run(t *testing.T, h Harness) {
	for name, test := range map[string]func(*bench){
		"RoundTrip": testRoundTrip, "Ranges": testRanges, "Absent": testAbsent, "Keys": testKeys, "Sizes": testSizes,
		"CreateOnce": testCreateOnce, "CreateRace": testCreateRace, "PutAgain": testPutAgain, "PutShortBody": testPutShortBody,
		"ListOrder": testListOrder, "ListAfter": testListAfter, "ListMany": testListMany, "ListStops": testListStops,
		"Delete": testDelete, "DeleteWhileCreating": testDeleteWhileCreating, "Ended": testEnded, "Probe": testProbe,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			t.Cleanup(cancel)
			b := &bench{T: t, ctx: ctx, open: h.Fresh(t)}
			b.s = b.open()
			test(b)
		})
	}
}

func (b *bench) must(err error, what string) {
	b.Helper()
	if err != nil {
		b.Fatalf("%s: %v", what, err)
	}
}

func (b *bench) wants(err, want error, what string) {
	b.Helper()
	if !errors.Is(err, want) {
		b.Fatalf("%s gave %v, expected %q", what, err, want)
	}
}

func (b *bench) create(key, data string) {
	b.Helper()
	b.must(b.s.Create(b.ctx, key, []byte(data)), "create "+key)
}

func (b *bench) put(key string, data []byte) {
	b.Helper()
	b.must(b.s.Put(b.ctx, key, bytes.NewReader(data), int64(len(data))), "put "+key)
}

func (b *bench) read(key string, off, n int64) []byte {
	b.Helper()
	body, err := b.s.Get(b.ctx, key, off, n)
	b.must(err, "get "+key)
	data, err := io.ReadAll(body)
	b.must(err, "read "+key)
	b.must(body.Close(), "close "+key)
	return data
}

func (b *bench) holds(key, want string) {
	b.Helper()
	if got := b.read(key, 0, -1); string(got) != want {
		b.Fatalf("%s holds %q, expected %q", key, got, want)
	}
}

func (b *bench) list(prefix, after string) []string {
	b.Helper()
	keys := []string{}
	for o, err := range b.s.List(b.ctx, prefix, after) {
		b.must(err, "list "+prefix)
		keys = append(keys, o.Key)
	}
	return keys
}

// noise is what no compression or luck makes equal.
func noise(n int) []byte {
	data := make([]byte, n)
	_, _ = rand.Read(data) // never fails
	return data
}
