package dump

import (
	"testing"
	"time"

	"github.com/interlock-run/interlock/warm/drain"
	"github.com/interlock-run/interlock/warm/memcached"
)

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		version [3]int
		want    Listing
		local   bool
		get     Listing // empty: refused
		warns   bool
	}{
		{[3]int{1, 4, 31}, Auto, true, "", false},
		{[3]int{1, 5, 22}, Auto, true, "", false},
		{[3]int{1, 6, 9}, Auto, true, "", false},
		{[3]int{1, 6, 10}, Auto, true, Hash, false},
		{[3]int{1, 6, 18}, Auto, true, Hash, false},
		{[3]int{1, 6, 18}, "", true, Hash, false},
		{[3]int{1, 6, 18}, Auto, false, All, true},
		{[3]int{1, 6, 18}, All, true, All, false},
		{[3]int{1, 6, 18}, "mgdump", true, "", false},
		{[3]int{1, 6, 19}, Auto, true, Hash, true},
		{[3]int{1, 6, 43}, All, true, All, true},
		{[3]int{1, 6, 44}, Auto, false, Hash, false},
		{[3]int{1, 10, 0}, Auto, true, Hash, false},
	} {
		v := memcached.Version{Major: c.version[0], Minor: c.version[1], Patch: c.version[2]}
		got, warning, err := Choose(v, c.want, c.local)
		if got != c.get || (warning != "") != c.warns || (err != nil) != (c.get == "") {
			t.Errorf("%s %s local %v: %q %q %v, want %q", v, c.want, c.local, got, warning, err, c.get)
		}
	}
}

// Hotness is (fetched, last access), in steps that never go backwards.
func TestBuckets(t *testing.T) {
	const now = 1_800_000_000
	last := -1
	for age := int64(-5); age < now; age += max(age/1000, 1) {
		b := bucketOf(&drain.Entry{Access: now - age, Fetched: true}, now)
		cold := bucketOf(&drain.Entry{Access: now - age}, now)
		if b < last || b >= ageCount || cold != b+ageCount {
			t.Fatalf("age %d: bucket %d after %d, not fetched %d", age, b, last, cold)
		}
		if age > 0 && age < exactAges && b == last {
			t.Fatalf("age %d has no bucket of its own", age)
		}
		last = b
	}
}

func TestBandsAreEqual(t *testing.T) {
	s := &survey{}
	for b := range 1600 {
		s.bytes[b] = 1000
	}
	bandOf, bands := s.cut(16)
	size := map[uint8]int64{}
	for b := range 1600 {
		if b > 0 && bandOf[b] < bandOf[b-1] {
			t.Fatalf("bucket %d is in a hotter band than the one before", b)
		}
		size[bandOf[b]] += s.bytes[b]
	}
	for band, n := range size {
		if n != 100_000 {
			t.Errorf("band %d has %d bytes", band, n)
		}
	}
	if bands != 16 {
		t.Errorf("%d bands", bands)
	}
	if _, bands := (&survey{}).cut(16); bands != 0 {
		t.Errorf("an empty list has %d bands", bands)
	}
	one := &survey{}
	one.bytes[5] = 1 << 40
	if bandOf, bands := one.cut(16); bands != 1 || bandOf[5] != 0 {
		t.Errorf("items of one age: %d bands", bands)
	}
}

func samples(d time.Duration) []time.Duration {
	all := make([]time.Duration, 100)
	for n := range all {
		all[n] = d
	}
	return all
}

// The rate halves when the latency rises, not below its floor, and comes back slowly.
func TestRateYields(t *testing.T) {
	p := newGovernor(25_000)
	p.base, p.bar = quantiles(samples(time.Millisecond)), time.Millisecond
	p.judge(samples(1600 * time.Microsecond)) // 1.5 times and 0.2 ms are allowed
	if p.rate != 25_000 {
		t.Errorf("rate %v within what is allowed", p.rate)
	}
	p.judge(samples(1800 * time.Microsecond))
	if p.rate != 12_500 {
		t.Errorf("rate %v, want half", p.rate)
	}
	for n := range 8 { // it gets better with what we leave out: it is us
		p.judge(samples(time.Second >> n))
	}
	if p.rate != slowestRate || p.low() != slowestRate {
		t.Errorf("rate %v, want %d", p.rate, slowestRate)
	}
	p.judge(samples(time.Millisecond))
	if p.rate <= slowestRate || p.rate > slowestRate*1.2 {
		t.Errorf("rate %v after one calm window", p.rate)
	}
	for range 100 {
		p.judge(samples(time.Millisecond))
	}
	if p.rate != 25_000 {
		t.Errorf("rate %v after a long calm", p.rate)
	}
	if l := p.latency(); l.During.Samples > 8000 || l.Before.P99 != time.Millisecond {
		t.Errorf("latency %+v", l)
	}
}

// A latency that does not fall with our rate is others' doing: the dump goes on, and yields to what is more.
func TestRateIsNotOthersFault(t *testing.T) {
	p := newGovernor(25_000)
	p.base, p.bar = quantiles(samples(time.Millisecond)), time.Millisecond
	for range 60 {
		p.judge(samples(8 * time.Millisecond))
	}
	if p.rate != 25_000 {
		t.Errorf("rate %v on a machine that others have made busy", p.rate)
	}
	p.judge(samples(20 * time.Millisecond))
	if p.rate != 12_500 {
		t.Errorf("rate %v, want half", p.rate)
	}
	for range 60 { // they are gone: what it was at first counts again
		p.judge(samples(time.Millisecond))
	}
	p.judge(samples(2 * time.Millisecond))
	if p.rate != 12_500 {
		t.Errorf("rate %v in calm, want half", p.rate)
	}
}
