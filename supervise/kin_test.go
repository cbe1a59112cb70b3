package supervise

import (
	"slices"
	"testing"
)

// After the guard's death: what was seen and all below it, but nobody who was given such a number later.
func TestKinAfterTheGuard(t *testing.T) {
	k := &kin{seen: map[int]task{7: {pid: 7, start: "70"}, 8: {pid: 8, start: "80"}, 9: {pid: 9, start: "90"}}}
	got := pids(k.members([]task{
		{1, 0, 'S', "1"},
		{7, 1, 'S', "70"},    // seen
		{8, 1, 'S', "81"},    // another with the number of one that was seen
		{9, 1, 'Z', "90"},    // dead
		{20, 7, 'S', "200"},  // below it
		{21, 20, 'S', "210"}, // and below that
		{30, 1, 'S', "300"},  // never seen
	}))
	slices.Sort(got)
	if want := []int{7, 20, 21}; !slices.Equal(slices.Compact(got), want) {
		t.Errorf("kin %v: expected %v", got, want)
	}
}
