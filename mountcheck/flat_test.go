package mountcheck

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// census is what this process costs: its memory after a collection, its threads, descriptors and children.
type census struct{ heap, threads, files, children int }

func count(t *testing.T) census {
	t.Helper()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	entries := func(dir string) int {
		all, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	c := census{heap: int(m.HeapAlloc), threads: entries("/proc/self/task"), files: entries("/proc/self/fd")}
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		b, err := os.ReadFile(path) // it may have ended since
		_, rest, ok := strings.Cut(string(b), ") ")
		if f := strings.Fields(rest); err == nil && ok && len(f) > 1 && f[1] == strconv.Itoa(os.Getpid()) {
			c.children++
		}
	}
	return c
}

// notMore allows what a runtime does for itself, and nothing that grows with the probes.
func (c census) notMore(t *testing.T, before census) {
	t.Helper()
	t.Logf("before %+v, after %+v", before, c)
	if c.heap > before.heap+1<<20 || c.threads > before.threads+8 || c.files > before.files+2 || c.children > before.children {
		t.Errorf("before the probes %+v, after them %+v", before, c)
	}
}

// TestHungServerCostsNothingMore: 2,000 probes of a server that took a request and does not answer leave one
// process, the one that hangs; it is of use again when the server answers.
func TestHungServerCostsNothingMore(t *testing.T) {
	f := newFaultyFS(t)
	tg := newTarget(newEnv(Config{Timeout: 100 * time.Millisecond}), Expect{Path: f.dir})
	defer tg.prober.env.close()
	f.set(modeHang)
	t.Cleanup(func() { f.set(modeOK) })
	tg.examine(context.Background())
	before := count(t)
	for range 2000 {
		tg.examine(context.Background())
		if got := tg.plain(); got.Kind != Hung {
			t.Fatalf("got %+v, want hung", got)
		}
	}
	count(t).notMore(t, before)
	f.set(modeOK)
	if !tg.prober.helper.wait(deadline) {
		t.Fatal("the helper has not ended")
	}
	if tg.examine(context.Background()); tg.plain().Kind != OK {
		t.Errorf("got %+v after the server answers, want ok", tg.plain())
	}
	if err := tg.prober.end(); err != nil {
		t.Error(err)
	}
}

// TestSilentServerCostsNothingMore: a server that takes no request lets each helper be killed; no two are
// there at once.
func TestSilentServerCostsNothingMore(t *testing.T) {
	f := newSilentFS(t)
	tg := newTarget(newEnv(Config{Timeout: 20 * time.Millisecond}), Expect{Path: f.dir})
	defer tg.prober.env.close()
	tg.examine(context.Background())
	before := count(t)
	for range 100 {
		tg.examine(context.Background())
		if got := tg.plain(); got.Kind != Hung {
			t.Fatalf("got %+v, want hung", got)
		}
		if c := count(t); c.children > before.children+1 {
			t.Fatalf("%d children, at first %d", c.children, before.children)
		}
	}
	count(t).notMore(t, before)
	if err := tg.prober.end(); err != nil {
		t.Error(err)
	}
}
