package snapshot

import (
	"cmp"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// A packSet is the packs that manifests name: a bit for each, in blocks of 64 of one owner. What one
// hostile line can add is bounded, and so is the whole.
type packSet map[packBlock]uint64

type packBlock struct {
	owner ID
	block int
}

// blocksAtMost bounds a set: 16 million packs end to end.
const blocksAtMost = 256 << 10

func (s packSet) add(p Pack) { s[packBlock{p.Owner, p.Number / 64}] |= 1 << (p.Number % 64) }

func (s packSet) has(p Pack) bool {
	return p.Number >= 0 && s[packBlock{p.Owner, p.Number / 64}]>>(p.Number%64)&1 == 1
}

func (s packSet) remove(p Pack) {
	at := packBlock{p.Owner, p.Number / 64}
	if s[at] &^= 1 << (p.Number % 64); s[at] == 0 {
		delete(s, at)
	}
}

func (s packSet) equal(o packSet) bool { return maps.Equal(s, o) }

func (s packSet) full() error {
	if len(s) > blocksAtMost {
		return damaged("names more than %d blocks of packs", blocksAtMost)
	}
	return nil
}

// join adds another set.
func (s packSet) join(o packSet) {
	for at, b := range o {
		s[at] |= b
	}
}

func (s packSet) ownerSet() map[ID]bool {
	all := map[ID]bool{}
	for at := range s {
		all[at.owner] = true
	}
	return all
}

// owners gives each owner with its packs, as in the manifest.
func (s packSet) owners() []ownerLine {
	blocks := make([]packBlock, 0, len(s))
	for at := range s {
		blocks = append(blocks, at)
	}
	slices.SortFunc(blocks, func(a, b packBlock) int {
		return cmp.Or(cmp.Compare(a.owner, b.owner), cmp.Compare(a.block, b.block))
	})
	var list []ownerLine
	for len(blocks) > 0 {
		n := 1
		for n < len(blocks) && blocks[n].owner == blocks[0].owner {
			n++
		}
		list = append(list, ownerLine{blocks[0].owner, s.ranges(blocks[:n])})
		blocks = blocks[n:]
	}
	return list
}

// ranges writes the packs of blocks of one owner as 0-5,7.
func (s packSet) ranges(blocks []packBlock) string {
	var out strings.Builder
	first, next := 0, 0 // the range that is open
	end := func() {
		switch {
		case next == 0:
			return
		case out.Len() > 0:
			out.WriteByte(',')
		}
		out.WriteString(strconv.Itoa(first))
		if next-1 > first {
			fmt.Fprintf(&out, "-%d", next-1)
		}
	}
	for _, at := range blocks {
		for b := s[at]; b != 0; b &= b - 1 {
			n := at.block*64 + bits.TrailingZeros64(b)
			if next == 0 || n != next {
				end()
				first = n
			}
			next = n + 1
		}
	}
	end()
	return out.String()
}

// addRanges reads what ranges wrote.
func (s packSet) addRanges(owner ID, text string) error {
	next := uint64(0)
	for part := range strings.SplitSeq(text, ",") {
		from, to, two := strings.Cut(part, "-")
		if !two {
			to = from
		}
		first, err1 := strconv.ParseUint(from, 10, 31)
		last, err2 := strconv.ParseUint(to, 10, 31)
		if err1 != nil || err2 != nil || first < next || last < first || last >= maxPacks {
			return damaged("packs %.40q of %s: expected rising numbers and ranges below %d", text, owner, maxPacks)
		}
		for n := first; n <= last; n++ {
			s.add(Pack{owner, int(n)})
		}
		next = last + 1
		if err := s.full(); err != nil {
			return err
		}
	}
	return nil
}
