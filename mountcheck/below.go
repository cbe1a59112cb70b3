package mountcheck

import (
	"cmp"
	"slices"
	"strings"
)

// Below lists the mounts that are seen below a path, not the one that it is on itself: what is written there does
// not arrive at that one. Those that nobody can write to are left out, and so are triggers of automounts.
func Below(path string) ([]Mount, error) {
	tb, err := readTable()
	if err != nil {
		return nil, err
	}
	real, _, err := tb.resolve(path)
	if err != nil {
		return nil, err
	}
	var all []Mount
	for _, m := range tb.byID {
		if m.Point != real && under(real, m.Point) && m.writable() && tb.holder(m.Point).ID == m.ID {
			all = append(all, tb.withUnique(m))
		}
	}
	slices.SortFunc(all, func(a, b Mount) int { return cmp.Compare(a.Point, b.Point) })
	return all, nil
}

func (m Mount) writable() bool {
	return m.FSType != "autofs" && !slices.Contains(strings.Split(m.Options, ","), "ro")
}
