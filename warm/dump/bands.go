package dump

import (
	"errors"
	"fmt"
	"iter"
	"math/bits"

	"github.com/interlock-run/interlock/warm/drain"
	"github.com/interlock-run/interlock/warm/item"
	"github.com/interlock-run/interlock/warm/memcached"
)

// Ages are counted by the second up to exactAges, then in steps of 1/64 of a power of two.
const (
	exactAges = 1024
	ageCount  = exactAges + 64*32
)

// bucketOf orders items by hotness, hottest first: those ever fetched before the others, then by age.
func bucketOf(e *drain.Entry, now int64) int {
	age := max(now-e.Access, 0)
	n := int(age)
	if age >= exactAges {
		shift := bits.Len64(uint64(age)) - 7 // keeps 6 bits below the highest
		n = min(exactAges+(shift-4)*64+int(age>>shift)-64, ageCount-1)
	}
	if !e.Fetched {
		n += ageCount
	}
	return n
}

// A survey is what one pass over a list finds.
type survey struct {
	listed, expired, unreachable int64
	now                          int64 // by the server's clock: ages count from here
	bytes                        [2 * ageCount]int64
	access                       [2 * ageCount]int64 // the oldest of each bucket
}

// take counts what is listed, and has kept what is wanted. Lines that are none make the list incomplete: nobody
// knows how much went with them.
func (s *survey) take(entries iter.Seq2[drain.Entry, error], keep func(*drain.Entry) error) error {
	torn := 0
	for e, err := range entries {
		if errors.Is(err, drain.ErrTorn) {
			torn++
			continue
		}
		if err != nil {
			return err
		}
		s.listed++
		if !s.wanted(&e) {
			continue
		}
		s.count(&e)
		if err := keep(&e); err != nil {
			return err
		}
	}
	if torn > 0 {
		return fmt.Errorf("%w: %d lines of %d are none, or its end is missing", drain.ErrTorn, torn, s.listed)
	}
	return nil
}

func (s *survey) count(e *drain.Entry) {
	b := bucketOf(e, s.now)
	s.bytes[b] += max(e.Size, 1)
	if s.access[b] == 0 || e.Access < s.access[b] {
		s.access[b] = e.Access
	}
}

// counts are those of what was listed.
func (s *survey) counts() item.Counts {
	return item.Counts{Listed: s.listed, Expired: s.expired, Unreachable: s.unreachable}
}

// wanted counts what is not worth a question.
func (s *survey) wanted(e *drain.Entry) bool {
	switch {
	case e.Expires != -1 && e.Expires <= s.now:
		s.expired++
	case memcached.CheckKey(e.Key) != nil:
		s.unreachable++
	default:
		return true
	}
	return false
}

// cut divides the buckets into bands of about equal bytes. It gives the band of each bucket, and how many bands
// there are. A bucket with nothing in it belongs to the hotter of its neighbours.
func (s *survey) cut(most int) (bandOf [2 * ageCount]uint8, count int) {
	var total, before int64
	for _, n := range s.bytes {
		total += n
	}
	last := -1
	for b, n := range s.bytes {
		if n > 0 {
			if share := int(float64(before) / float64(total) * float64(most)); share > last {
				last = share
				count++
			}
			before += n
		}
		bandOf[b] = uint8(max(count-1, 0))
	}
	return bandOf, count
}

// describe tells what is known of each band.
func (s *survey) describe(bandOf *[2 * ageCount]uint8, count int) []bandInfo {
	bands := make([]bandInfo, count)
	for b, n := range s.bytes {
		if n == 0 {
			continue
		}
		here := &bands[bandOf[b]]
		if !here.any {
			*here = bandInfo{any: true, fetched: true, access: s.access[b]}
		}
		here.fetched = here.fetched && b < ageCount
		here.access = min(here.access, s.access[b])
	}
	return bands
}

type bandInfo struct {
	any     bool
	fetched bool
	access  int64
}
