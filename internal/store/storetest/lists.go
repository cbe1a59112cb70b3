package storetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/interlock-run/interlock/internal/store"
)

// testListOrder: folders sort among files by the bytes of the whole keys, which a walk by name gets wrong.
func testListOrder(b *bench) {
	keys := []string{"a-b", "a.b", "a/b", "a/b-c/d", "a/b.d", "a0", "aa/x", "b/y", "B/z", "z"}
	for i, key := range keys {
		b.create(key, strings.Repeat("x", i+1))
	}
	sorted := slices.Sorted(slices.Values(keys))
	got := []string{}
	for o, err := range b.s.List(b.ctx, "", "") {
		b.must(err, "list")
		got = append(got, o.Key)
		if want := slices.Index(keys, o.Key) + 1; o.Size != int64(want) || o.Time.IsZero() {
			b.Fatalf("list says %+v, expected %d bytes and a time", o, want)
		}
	}
	if !slices.Equal(got, sorted) {
		b.Fatalf("list gave %q, expected %q", got, sorted)
	}
	for _, prefix := range []string{"a", "a/", "a/b", "a/b-", "b", "b/", "c", "zz"} {
		want := slices.DeleteFunc(slices.Clone(sorted), func(k string) bool { return !strings.HasPrefix(k, prefix) })
		if got := b.list(prefix, ""); !slices.Equal(got, want) {
			b.Fatalf("list of %q gave %q, expected %q", prefix, got, want)
		}
	}
}

func testListAfter(b *bench) {
	keys := []string{"a-b", "a/b", "a/c", "a/d/e", "a0", "b"}
	for _, key := range keys {
		b.create(key, "x")
	}
	for _, prefix := range []string{"", "a/", "a"} {
		for _, after := range []string{"", "a", "a-b", "a/", "a/a", "a/b", "a/bb", "a/d", "a/d/e", "a/d/f", "a0", "b", "c"} {
			want := slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return k <= after || !strings.HasPrefix(k, prefix) })
			if got := b.list(prefix, after); !slices.Equal(got, want) {
				b.Fatalf("list of %q after %q gave %q, expected %q", prefix, after, got, want)
			}
		}
	}
}

// testListMany: more than one page, which S3 ends after 1000 keys.
func testListMany(b *bench) {
	const n = 1100
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := worker; i < n; i += 4 {
				if err := b.s.Create(b.ctx, fmt.Sprintf("catalog/%020d", i), []byte("x")); err != nil {
					b.Errorf("create %d: %v", i, err)
				}
			}
		})
	}
	all.Wait()
	got := b.list("catalog/", "")
	for i, key := range got {
		if key != fmt.Sprintf("catalog/%020d", i) {
			b.Fatalf("key %d of the list is %q", i, key)
		}
	}
	if len(got) != n {
		b.Fatalf("list gave %d keys, expected %d", len(got), n)
	}
	if got := b.list("catalog/", fmt.Sprintf("catalog/%020d", n-3)); len(got) != 2 {
		b.Fatalf("the last two are %q", got)
	}
}

// testListStops: a caller may end a list, and begin the next one.
func testListStops(b *bench) {
	for _, key := range []string{"a/1", "a/2", "b/3"} {
		b.create(key, "x")
	}
	var first store.Object
	for o, err := range b.s.List(b.ctx, "", "") {
		b.must(err, "list")
		first = o
		break
	}
	if first.Key != "a/1" {
		b.Fatalf("the first key is %q", first.Key)
	}
	if got := b.list("", first.Key); !slices.Equal(got, []string{"a/2", "b/3"}) {
		b.Fatalf("the rest is %q", got)
	}
}
