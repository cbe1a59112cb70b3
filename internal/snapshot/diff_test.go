package snapshot

import (
	"fmt"
	"slices"
	"testing"
)

func TestDiff(t *testing.T) { eachForm(t, testDiff) }

func testDiff(t *testing.T, as form) {
	st := newMemStore()
	r := as.repo(t, st)
	one := []*testFile{newFile("a", noise(1, 1<<20)), newFile("b", noise(2, 10)), newFile("c", noise(3, 10)), newFile("gone", nil)}
	a := takes(t, r, Holder{}, one)
	changed := newFile("a", slices.Clone(one[0].data)).touch()
	changed.data[900_000]++
	moved := newFile("b", one[1].data)
	moved.MTime[0]++
	b := takes(t, r, Holder{}, []*testFile{changed, moved, one[2], newFile("new", nil)})
	from, err := r.Manifest(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	to, err := r.Manifest(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for c, err := range Diff(from, to) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %v %v %v %v", c.Path, c.Old != nil, c.New != nil, c.Content, c.Meta))
	}
	want := []string{"a true true true false", "b true true false true", "gone true false false false", "new false true false false"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestComparePaths(t *testing.T) {
	list := []string{Root, "!", "a", "a/b", "a/b/c", "a/b-c", "a-b", "a.b", "ab", "b"}
	for i := range list {
		for j := range list {
			if got, want := sign(ComparePaths(list[i], list[j])), sign(i-j); got != want {
				t.Errorf("%q and %q: %d, want %d", list[i], list[j], got, want)
			}
		}
	}
}

func sign(n int) int { return min(1, max(-1, n)) }

func TestPackSet(t *testing.T) {
	for _, text := range []string{"0", "63-64", "0-5,7,9-200", "9999999"} {
		s := packSet{}
		if err := s.addRanges(fuzzID, text); err != nil {
			t.Error(err)
		}
		if list := s.owners(); len(list) != 1 || list[0].Packs != text {
			t.Errorf("%q comes back as %v", text, list)
		}
	}
	for _, text := range []string{"", "5-4", "1,1", "a", "1-", "10000000", "-1", "2,1"} {
		if err := (packSet{}).addRanges(fuzzID, text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestChunkGrows(t *testing.T) {
	for tree, want := range map[int64]int64{0: 128 << 10, 16 << 30: 128 << 10, 17 << 30: 256 << 10, 100 << 30: 1 << 20, 1 << 50: 1 << 20} {
		if got := chunkFor(tree); got != want {
			t.Errorf("tree of %d: chunks of %d, want %d", tree, got, want)
		}
	}
}
