package item_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/item"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func allBytes() []byte {
	var all []byte
	for b := range 256 {
		all = append(all, byte(b))
	}
	return all
}

func samples() []item.Item {
	return []item.Item{
		{Key: []byte("a:1"), Value: []byte("v"), Flags: 1<<32 - 1, Expires: 1_900_000_000, Access: 1_800_000_000, Fetched: true, Size: 70},
		{Key: []byte("%41"), Value: nil, Size: 60},
		{Key: allBytes()[:186], Value: allBytes(), Flags: 3, Size: 600},
		{Key: allBytes()[128:], Value: []byte("end 1 1\n"), Size: 300},
		{Key: []byte("end"), Value: bytes.Repeat([]byte("x"), 20_000), Size: 20_100},
	}
}

// write makes a tree with the samples in band 0 and one more in band 1.
func write(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	w, err := item.Create(dir, 3)
	must(t, err)
	defer w.Close()
	p, err := w.Part(0)
	must(t, err)
	for _, i := range samples() {
		must(t, p.Add(&i))
	}
	must(t, p.Close())
	p, err = w.Part(1)
	must(t, err)
	must(t, p.Add(&item.Item{Key: []byte("cold"), Value: []byte("c"), Size: 60}))
	must(t, p.Close())
	if _, err := item.Open(dir); !errors.Is(err, item.ErrNoCache) {
		t.Errorf("before the end: %v, want ErrNoCache", err)
	}
	_, err = w.Finish(item.Cache{Bands: make([]item.Band, 3)})
	must(t, err)
	return dir
}

// read gives all items of a tree, as one text each.
func read(dir string) (all []string, err error) {
	c, err := item.Open(dir)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	for b := range c.Bands {
		for p := range c.Bands[b].Parts {
			r, err := c.Part(b, p, 0)
			if err != nil {
				return nil, err
			}
			defer r.Close()
			for {
				var i item.Item
				if err := r.Next(&i); err == io.EOF {
					break
				} else if err != nil {
					return nil, err
				}
				all = append(all, fmt.Sprintf("%x %d %d %x", i.Key, i.Flags, i.Expires, i.Value))
			}
		}
	}
	return all, nil
}

func TestRoundTrip(t *testing.T) {
	dir := write(t)
	c, err := item.Open(dir)
	must(t, err)
	defer c.Close()
	if c.Counts.Items != 6 || c.Bands[0].Parts[0].Items != 5 || len(c.Bands[2].Parts) != 0 {
		t.Errorf("counts %+v, parts %+v", c.Counts, c.Bands)
	}
	r, err := c.Part(0, 0, 0)
	must(t, err)
	var got item.Item
	var offsets []int64
	for _, want := range samples() {
		offsets = append(offsets, r.Offset())
		must(t, r.Next(&got))
		if want.Value == nil {
			want.Value = []byte{}
		}
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Errorf("got  %.200v\nwant %.200v", got, want)
		}
	}
	if err := r.Next(&got); err != io.EOF {
		t.Errorf("after the last: %v", err)
	}
	must(t, r.Close())
	for n, at := range offsets[1:] { // goes on from where another reader stopped
		r, err := c.Part(0, 0, at)
		must(t, err)
		must(t, r.Next(&got))
		if !bytes.Equal(got.Key, samples()[n+1].Key) {
			t.Errorf("from byte %d: key %q", at, got.Key)
		}
		must(t, r.Close())
	}
}

// TestReadWithoutUs reads the tree with forty lines of Python.
func TestReadWithoutUs(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		testkit.Skip(t, "python3", "not there (Debian: python3)")
	}
	dir := write(t)
	out, err := exec.Command(python, "testdata/read_cache.py", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want, err := read(dir)
	must(t, err)
	got := strings.Split(strings.TrimSpace(string(out)), "\n")
	for n := range got {
		got[n] = strings.TrimRight(got[n], " ")
		want[n] = strings.TrimRight(want[n], " ")
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %.300q\nwant %.300q", got, want)
	}
}

// Every byte of a part is covered: changed, left out, or cut off from there, it is never read as if whole.
func TestDamageIsFound(t *testing.T) {
	dir := write(t)
	name := filepath.Join(dir, "band-00", "0000.items")
	whole, err := os.ReadFile(name)
	must(t, err)
	want, err := read(dir)
	must(t, err)
	step := 1
	for at := 0; at < len(whole); at += step {
		if at > 1500 {
			step = 997 // inside the long value
		}
		changed := slices.Clone(whole)
		changed[at] ^= 0x20
		faults := map[string][]byte{"changed": changed, "cut": whole[:at], "left out": slices.Delete(slices.Clone(whole), at, at+1)}
		if at%7 != 0 && at > 200 {
			faults = map[string][]byte{"changed": changed}
		}
		for what, text := range faults {
			must(t, os.WriteFile(name, text, 0o600))
			got, err := read(dir)
			if err == nil && what == "changed" && slices.Equal(got, want) {
				continue // the case of a hexadecimal digit has no meaning
			}
			if !errors.Is(err, item.ErrDamaged) {
				t.Fatalf("%s at byte %d of %q: %v, want ErrDamaged", what, at, whole[max(0, at-20):at+1], err)
			}
		}
	}
	must(t, os.WriteFile(name, append(whole, '\n'), 0o600))
	if _, err := read(dir); !errors.Is(err, item.ErrDamaged) {
		t.Errorf("a byte more: %v, want ErrDamaged", err)
	}
}

func TestPartsAreNotExchanged(t *testing.T) {
	a, b := write(t), write(t)
	raw, err := os.ReadFile(filepath.Join(b, "band-01", "0000.items"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(a, "band-01", "0000.items"), raw, 0o600))
	if _, err := read(a); !errors.Is(err, item.ErrDamaged) {
		t.Errorf("a part of another dump: %v, want ErrDamaged", err)
	}
	must(t, os.Remove(filepath.Join(a, "band-01", "0000.items")))
	if _, err := read(a); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a part that is not there: %v", err)
	}
}

func TestIndexIsChecked(t *testing.T) {
	dir := write(t)
	name := filepath.Join(dir, "cache.json")
	raw, err := os.ReadFile(name)
	must(t, err)
	for _, c := range []struct{ from, to string }{
		{`"format": 1`, `"format": 2`}, {`"interlock": "cache"`, `"interlock": "x"`}, {`"items": 5`, `"items": 4`},
		{`"items": 5`, `"items": -5`}, {`"id": "`, `"id": "../`}, {"{", ""}, {`"size": `, `"size": -`},
	} {
		text := strings.Replace(string(raw), c.from, c.to, 1)
		if text == string(raw) {
			t.Fatalf("no %q in %s", c.from, raw)
		}
		must(t, os.WriteFile(name, []byte(text), 0o600))
		if _, err := item.Open(dir); !errors.Is(err, item.ErrDamaged) {
			t.Errorf("%q for %q: %v, want ErrDamaged", c.to, c.from, err)
		}
	}
}

func TestWriterRefusesWhatNoServerTakes(t *testing.T) {
	w, err := item.Create(t.TempDir(), 1)
	must(t, err)
	defer w.Close()
	p, err := w.Part(0)
	must(t, err)
	for _, i := range []item.Item{{}, {Key: bytes.Repeat([]byte("k"), 251)}, {Key: bytes.Repeat([]byte(" "), 187)},
		{Key: []byte("k"), Expires: -1}, {Key: []byte("k"), Size: -1}} {
		if p.Add(&i) == nil {
			t.Errorf("%+v was written", i)
		}
	}
	must(t, p.Close())
}

func TestRoundSize(t *testing.T) {
	for _, s := range []int64{0, 1, 31, 32, 33, 60, 64, 65, 100, 1000, 1024, 1070, 1 << 20, 1<<20 + 1, 1<<31 - 1} {
		r := item.RoundSize(s)
		if r < s || r > s+s/16+1 || item.RoundSize(r) != r {
			t.Errorf("%d rounds to %d", s, r)
		}
	}
}
