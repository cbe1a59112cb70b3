//go:build bench

package cache

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/warmtest"
)

// memory tells what the built binary takes at most for a dump into a store and for a load from there, both as
// fast as they go.
func memory(t *testing.T, s sizes) []*row {
	t.Helper()
	const aim = 64
	fits := func(ours, _, _ float64) bool { return ours <= aim }
	from, place := server(t, 256+s.large/4000), t.TempDir()
	const step = 500_000
	for at := 0; at < s.large; at += step {
		loop(t, from.Addr(), 2, stores(min(step, s.large-at), func(i, _ int) warmtest.Item { return smallItem(at + i) }))
	}
	binary, store := testkit.Binary(t), []string{"--store", "file://" + filepath.Join(place, "store")}
	must(t, os.Mkdir(filepath.Join(place, "store"), 0o755))
	verb(t, binary, append([]string{"store", "init"}, store...))
	var rows []*row
	for _, words := range [][]string{
		{"warm", "dump", "--scratch", place, "--budget-rate", strconv.Itoa(fast)},
		{"warm", "load"},
	} {
		if words[1] == "load" {
			from.Stop(t)
			from = server(t, 256+s.large/4000)
		}
		begun := time.Now()
		own, below := most(t, testkit.Start(t, append(append([]string{binary}, append(words, "--memcached", from.Addr())...), store...)...))
		t.Logf("%v: %.1f s, at most %.1f MiB, and the process that reads its list %.1f", words, time.Since(begun).Seconds(), own, below)
		r := &row{name: fmt.Sprintf("memory of `interlock warm %s`, %d items : %d MiB", words[1], s.large, aim), unit: "MiB", aim: "<= 64", met: fits}
		r.add(own, aim)
		rows = append(rows, r)
	}
	if st := from.Ask(t, "stats\r\n", "END"); !hasItems(st, s.large) {
		t.Errorf("not all of %d items were dumped and loaded: %q", s.large, st)
	}
	from.Stop(t)
	return rows
}

func hasItems(stats []string, n int) bool {
	for _, line := range stats {
		if line == "STAT curr_items "+strconv.Itoa(n) {
			return true
		}
	}
	return false
}

// most is what a process took at most, in MiB, and what those below it did.
func most(t *testing.T, p *testkit.Process) (own, below float64) {
	t.Helper()
	worst := map[int]float64{}
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for running := true; running; {
		for _, pid := range append(testkit.Descendants(p.Pid()), p.Pid()) {
			worst[pid] = max(worst[pid], peak(t, pid))
		}
		select {
		case <-p.Exited():
			running = false
		case <-look.C:
		}
	}
	if code := p.Wait(t, time.Minute); code != 0 {
		t.Fatalf("%d: %s", code, p.Stderr(t))
	}
	for pid, m := range worst {
		if pid != p.Pid() {
			below += m
		}
	}
	return worst[p.Pid()], below
}

// peak is the most that a process has had so far; 0: it has ended.
func peak(t *testing.T, pid int) (mebibytes float64) {
	t.Helper()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if after, is := strings.CutPrefix(line, "VmHWM:"); is {
			_, err := fmt.Sscan(after, &mebibytes)
			must(t, err)
			return mebibytes / 1024
		}
	}
	return 0
}

// smallItem is of 100 bytes.
func smallItem(i int) warmtest.Item {
	it := warmtest.Item{Key: []byte("small:" + strconv.Itoa(i)), Value: make([]byte, 100), Flags: uint32(i), TTL: 86400}
	copy(it.Value, it.Key)
	return it
}
