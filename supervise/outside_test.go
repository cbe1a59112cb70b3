package supervise

import (
	"slices"
	"testing"
)

// As PID 1, whose parent has the number 0: once the agent is reaped nobody is spared.
func TestOutsideSparesNobody(t *testing.T) {
	list := []task{{1, 0, "", false}, {7, 1, "", false}, {8, 7, "", false}, {9, 8, "", true}, {20, 1, "", false}, {21, 20, "", false}}
	for _, c := range []struct {
		spare int
		want  []int
	}{{7, []int{20, 21}}, {0, []int{7, 8, 20, 21}}} {
		if got := pids(outside(list, 1, c.spare)); !slices.Equal(got, c.want) {
			t.Errorf("spare %d: %v, want %v", c.spare, got, c.want)
		}
	}
}
