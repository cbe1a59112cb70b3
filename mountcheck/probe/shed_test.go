package probe

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestOnlyCleanPagesAreShed: of a program with a dynamic loader, too.
func TestOnlyCleanPagesAreShed(t *testing.T) {
	const smaps = `00400000-00f27000 r-xp 00000000 fe:00 1 /bin/x
Rss:                1024 kB
Anonymous:             0 kB
00f27000-01b46000 r--p 00b27000 fe:00 1 /bin/x
Anonymous:             0 kB
01b46000-01bc9000 rw-p 01746000 fe:00 1 /bin/x
Anonymous:             0 kB
7f0000000000-7f0000004000 r--p 00000000 fe:00 2 /lib/relro.so
Anonymous:            16 kB
7f0000004000-7f0000005000 r--s 00000000 fe:00 3 /shared
Anonymous:             0 kB
7f0000006000-7f0000007000 r--p 00000000 00:00 0
Anonymous:             0 kB
7f0000008000-7f0000009000 r-xp 00000000 00:00 0 [vdso]
Anonymous:             0 kB
7f000000a000-7f0000009000 r-xp 00000000 fe:00 2 /backwards
Anonymous:             0 kB
`
	want := []mapping{{0x400000, 0xf27000}, {0xf27000, 0x1b46000}}
	got := clean([]byte(smaps))
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %x, want %x", got, want)
	}
}

// TestShedLeavesTheProgramWhole: what was let go of comes back unchanged, and not all of it.
func TestShedLeavesTheProgramWhole(t *testing.T) {
	before := resident(t)
	shed()
	after := resident(t)
	if after >= before {
		t.Errorf("%d KiB of files resident, %d before", after, before)
	}
	if _, err := strconv.Atoi("x"); err == nil || !strings.Contains(err.Error(), "parsing") {
		t.Errorf("got %v", err)
	}
}

// resident is in KiB.
func resident(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "RssFile:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
