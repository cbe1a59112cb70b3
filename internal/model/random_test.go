package model

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// seedOf is a fresh seed, or the one that is to be repeated.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	v := os.Getenv("INTERLOCK_TEST_SEED")
	if v == "" {
		return uint64(time.Now().UnixNano())
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		t.Fatalf("INTERLOCK_TEST_SEED=%q: expected a number", v)
	}
	return n
}

// walk goes random ways from a fixed seed and shows each step.
func walk[S comparable](m machine[S], walks, length int, saw func(edge[S])) {
	r := rand.New(rand.NewPCG(1, 1))
	var out []edge[S]
	for range walks {
		s := m.start()
		for range length {
			if out = m.next(s, out[:0]); len(out) == 0 {
				break
			}
			e := draw(m, r, out)
			saw(e)
			s = e.to
		}
	}
}
