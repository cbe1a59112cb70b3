package zk

import (
	"math"
	"strings"
	"testing"
)

func TestParseMember(t *testing.T) {
	for name, want := range map[string]int32{
		"_c_0123456789abcdef0123456789abcdef-lock-0000000007":     7, // go-zookeeper, ours
		"_c_3a4c8f2e-1f2d-4f0e-9d2c-0a1b2c3d4e5f-lock-0000000012": 12,
		"f3b1__lock__0000000003":                                  3,
		"lock-2147483647":                                         math.MaxInt32,
		"_c_x-lock--2147483648":                                   math.MinInt32,
		"_c_x-lock--000000001":                                    -1,
	} {
		if m, ok := parseMember(name); !ok || m.seq != want {
			t.Errorf("%s: %v %v, expected %d", name, m, ok, want)
		}
	}
	for _, name := range []string{"config", "lock-", "lock-7", "lock-00000000x1", "lock-9999999999", "lock-+000000001", "block", "x-latch-0000000001"} {
		if m, ok := parseMember(name); ok {
			t.Errorf("%s counts as contender %v", name, m)
		}
	}
}

// The queue's order survives the wrap of the server's 32 bit counter, from whichever member one looks.
func TestQueueOrder(t *testing.T) {
	want := []string{"a-lock-2147483645", "b-lock-2147483647", "c-lock--2147483648", "d-lock--2147483000"}
	mixed := []string{want[2], "config", want[0], want[3], want[1]}
	for _, own := range want {
		m, _ := parseMember(own)
		q := queue(mixed, m.seq)
		for i, w := range want {
			if len(q) != len(want) || q[i].name != w {
				t.Fatalf("from %s the queue is %v, expected %v", own, q, want)
			}
		}
	}
	if q := queue(mixed, reference(mixed)); q[0].name != want[0] || position(q, want[3]) != 3 {
		t.Errorf("without an own key the queue is %v, expected %v", q, want)
	}
	if len(queue(nil, reference(nil))) != 0 || position(nil, "x") != -1 {
		t.Error("an empty list has a queue")
	}
}

func TestFreshPrefix(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		p := freshPrefix()
		m, ok := parseMember(p + "0000000007")
		if seen[p] || !strings.HasPrefix(p, "_c_") || !strings.HasSuffix(p, "-lock-") || !ok || !m.sealed() {
			t.Fatalf("prefix %q", p)
		}
		seen[p] = true
	}
}

// No name of another program passes for ours, nor one that was changed.
func TestSealed(t *testing.T) {
	own := []byte(freshPrefix() + "0000000007")
	own[5] ^= 1 // another hex digit, or none
	for _, name := range []string{
		string(own),
		"_c_0123456789abcdef0123456789abcdef-lock-0000000007", // go-zookeeper
		"_c_3a4c8f2e-1f2d-4f0e-9d2c-0a1b2c3d4e5f-lock-0000000012",
		"f3b1__lock__0000000003", "lock-2147483647", "_c_-lock-0000000001", "_c_x-lock-0000000001",
	} {
		m, ok := parseMember(name)
		if !ok || m.sealed() {
			t.Errorf("%s: contender %v, sealed %v, expected one that is not ours", name, ok, m.sealed())
		}
	}
}
