package mountcheck

import (
	"slices"
	"strings"
	"testing"
)

// TestKernelAndTableAgree: what statmount(2) says of each mount of this machine is the line of the table.
func TestKernelAndTableAgree(t *testing.T) {
	tmpfs(t, "a")
	ext4(t)
	newFaultyFS(t)
	tb, err := readTable()
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, kids := range tb.kids {
		for _, m := range kids {
			got := takeMark(m.Point)
			now, ok := got.mount()
			if !ok || tb.holder(m.Point).ID != m.ID {
				continue // hidden by another, or not for us to see
			}
			compared++
			if sorted(now.Options) != sorted(m.Options) || sorted(now.Super) != sorted(m.Super) {
				t.Errorf("%s: options %q and %q, the table has %q and %q", m, now.Options, now.Super, m.Options, m.Super)
			}
			m.Unique, m.Options, m.Super = now.Unique, now.Options, now.Super
			if !sameMount(m, now) || m.Parent != now.Parent || m.Point != now.Point || m.FSType != now.FSType {
				t.Errorf("got %+v, the table has %+v", now, m)
			}
		}
	}
	if compared == 0 {
		t.Skip("no complete statmount(2) here")
	}
	t.Logf("%d mounts", compared)
}

func sorted(options string) string {
	all := strings.Split(options, ",")
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ",")
}
