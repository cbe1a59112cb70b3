package ring_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/interlock-run/interlock/warm/ring"
)

// The vectors of mcrouter's own test, mcrouter/lib/test/WeightedCh3HashFuncTest.cpp.
func TestWeightedCh3(t *testing.T) {
	var up, down []byte
	for i := range 256 {
		up, down = append(up, byte(i-128)), append(down, byte(127-i))
	}
	for _, c := range []struct {
		key    []byte
		nodes  int
		weight float64
		want   int
	}{
		{[]byte("sample"), 100, 1, 97}, {[]byte("sample"), 1, 1, 0}, {nil, 100, 1, 72}, {nil, 1, 1, 0}, {nil, 1 << 23, 1, 6173600},
		{[]byte("sample"), 1 << 23, 1, 5167780}, {up, 99999, 1, 31015}, {down, 99999, 1, 67101},
		{[]byte("sample"), 1, 0, 0}, {nil, 1, 0, 0}, {[]byte("sample"), 100, 0, 59}, {nil, 100, 0, 45},
	} {
		if got := ring.WeightedCh3Node(c.key, c.nodes, c.weight); got != c.want {
			t.Errorf("key of %d bytes, %d nodes of weight %g: %d, want %d", len(c.key), c.nodes, c.weight, got, c.want)
		}
	}
	for _, c := range []struct {
		keys    int
		weights []float64
		want    []int
	}{
		{1000, []float64{1, 1, 0.7}, []int{341, 371, 288}},
		{10_000, []float64{0.429, 0.541, 0.117, 0.998, 0.283, 0.065, 0.109, 0.042, 0.676, 0.943}, []int{1016, 1252, 288, 2354, 661, 195, 247, 122, 1668, 2197}},
	} {
		var list []ring.Server
		for n, w := range c.weights {
			list = append(list, ring.Server{Name: fmt.Sprint(n), Weight: w})
		}
		r, err := ring.New(ring.WeightedCh3, list)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]int, len(list))
		for i := range c.keys {
			got[r.Node(fmt.Append(nil, i))]++
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.weights, got, c.want)
		}
	}
}

// Some of the vectors of folly's own test, folly/test/SpookyHashV2Test.cpp, around the lengths where it changes.
func TestSpooky(t *testing.T) {
	text := make([]byte, 512)
	for i := range text {
		text[i] = byte(i + 128)
	}
	for length, want := range map[int]uint32{
		0: 0x6bf50919, 1: 0x70de1d26, 7: 0xf9f1a233, 8: 0xee193982, 15: 0x83ec01f9, 16: 0xf274736c, 31: 0x027bca7c, 32: 0xe5cfc8b6, 63: 0x09c1afb4,
		191: 0xe13d9e19, 192: 0x77e012bd, 193: 0x2d05114c, 255: 0x2f40ee0b, 256: 0x38cebf03, 511: 0xcc1c8250,
	} {
		if got := ring.Spooky(text[:length]); got != want {
			t.Errorf("%d bytes: %08x, want %08x", length, got, want)
		}
	}
}
