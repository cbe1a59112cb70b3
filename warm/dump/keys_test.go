package dump

import (
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/drain"
	"github.com/interlock-run/interlock/warm/memcached"
)

// entries are listed items, each used at the time that is its number.
func entries(access ...int64) iter.Seq2[drain.Entry, error] {
	return func(yield func(drain.Entry, error) bool) {
		key := make([]byte, 0, 20) // used again, as that of a real list is
		for _, at := range access {
			key = fmt.Appendf(key[:0], "k%d", at)
			if !yield(drain.Entry{Key: key, Access: at, Expires: -1}, nil) {
				return
			}
		}
	}
}

// The keys that were used last are kept, whatever order they come in; what has expired, or cannot be sent, is none.
func TestLatest(t *testing.T) {
	var l latest
	if err := l.take(entries(5, 1, 9, 3, 7, 8, 2), &survey{}, 3); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range l {
		got = append(got, string(e.Key))
	}
	slices.Sort(got)
	if !slices.Equal(got, []string{"k7", "k8", "k9"}) {
		t.Errorf("%v", got)
	}
	var none latest
	err := none.take(func(yield func(drain.Entry, error) bool) {
		_ = yield(drain.Entry{Key: []byte("old"), Expires: 3}, nil) && yield(drain.Entry{Key: make([]byte, 251), Expires: -1}, nil)
	}, &survey{now: 5}, 3)
	if err != nil || len(none) != 0 {
		t.Errorf("%v %v", none, err)
	}
	if err := none.take(func(yield func(drain.Entry, error) bool) { yield(drain.Entry{}, drain.ErrTorn) }, &survey{}, 3); err == nil {
		t.Error("a torn list is taken for a whole one")
	}
}

// A server's keys are listed, and the lock is gone afterwards; while somebody holds it nobody else lists.
func TestKeys(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{})
	kit.Ask(t, "set a 0 0 1\r\nx\r\nset b 0 0 1\r\nx\r\nset gone 0 -1 1\r\nx\r\nmn\r\n", "MN")
	s, err := memcached.ParseServer(kit.Addr())
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Server: s, Scratch: t.TempDir(), Locks: t.TempDir()}
	held, err := Acquire(o.Locks, s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Keys(t.Context(), o, 10); err == nil {
		t.Error("it lists beside another")
	}
	if err := held.Release(); err != nil {
		t.Fatal(err)
	}
	keys, err := Keys(t.Context(), o, 10)
	slices.SortFunc(keys, slices.Compare)
	if err != nil || len(keys) != 2 || string(keys[0]) != "a" || string(keys[1]) != "b" {
		t.Errorf("%q %v", keys, err)
	}
}
