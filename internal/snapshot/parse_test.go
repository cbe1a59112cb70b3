package snapshot

import (
	"reflect"
	"strings"
	"testing"
)

// FuzzShortWay compares the short way of a line with the long one.
func FuzzShortWay(f *testing.F) {
	text := manifestText(f)
	for line := range strings.Lines(string(text)) {
		spoiled(func(b []byte) { f.Add(b) }, []byte(strings.TrimSuffix(line, "\n")))
	}
	f.Fuzz(func(t *testing.T, line []byte) { sameWays(t, line) })
}

// sameWays fails where the short way takes a line and means something else; it tells whether it took it.
func sameWays(t *testing.T, line []byte) bool {
	t.Helper()
	var p lineParser
	var short, long parsed
	longErr := p.full(line, &long)
	var run Run
	took, err := p.shortRun(line, &run)
	switch {
	case p.shortEntry(line, &short.entry):
		took, short.kind = true, 'e'
	case took:
		short.kind, short.run = 'r', run
	}
	if (took && err == nil && (longErr != nil || !reflect.DeepEqual(short, long))) || (took && (err == nil) != (longErr == nil)) {
		t.Errorf("%q: short %+v, %v; long %+v, %v", line, short, err, long, longErr)
	}
	return took
}

// What our writer makes of ordinary files takes the short way.
func TestShortWayIsTaken(t *testing.T) {
	e := newFile("data/base/16384/2619", noise(1, 10)).Entry
	e.File.Sparse, e.File.Racy, e.File.Links = true, true, 3
	run := aRun(Pack{fuzzID, 1_234_567})
	run.Skip, run.Sums = 5, make([]Sum, 8)
	dir := newDir("data").Entry
	for _, line := range [][]byte{appendEntry(nil, &e), appendEntry(nil, &dir), appendRun(nil, &run)} {
		if !sameWays(t, line[:len(line)-1]) {
			t.Errorf("%q goes the long way", line)
		}
	}
}

func TestAppendPack(t *testing.T) {
	for _, n := range []int{0, 9, 10, 99_999, 100_000, 9_999_999} {
		if got, want := string(appendPack(nil, Pack{fuzzID, n})), (Pack{fuzzID, n}).String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
