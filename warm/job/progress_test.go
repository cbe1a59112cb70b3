package job

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/warm/load"
	"github.com/interlock-run/interlock/warm/memcached"
)

func kept(t *testing.T, p progress, end error) {
	t.Helper()
	far := func() load.Progress {
		return load.Progress{Parts: map[string]load.Mark{"x/0/0": {Offset: 7, Items: 3}}}
	}
	if _, err := p.keeping(far, func() (*load.Report, error) { return &load.Report{}, end }); !errors.Is(err, end) {
		t.Fatal(err)
	}
}

// Progress is there after a load that failed, and gone after one that ended; one that is old, or no progress, counts
// for nothing.
func TestProgress(t *testing.T) {
	folder := t.TempDir()
	p := progressOf(folder, memcached.Server{Network: "tcp", Address: "a:1"})
	notes := ""
	read := func() *load.Progress { notes = ""; return p.read(func(text string) { notes += text }) }
	if got := read(); got != nil {
		t.Errorf("before all: %+v", got)
	}
	kept(t, p, os.ErrClosed)
	if got := read(); got == nil || got.Parts["x/0/0"].Items != 3 {
		t.Errorf("after a failure: %+v", got)
	}
	if got := progressOf(folder, memcached.Server{Network: "tcp", Address: "a:2"}).read(nil); got != nil {
		t.Errorf("of another server: %+v", got)
	}
	for name, s := range map[string]saved{"old": {savedKind, time.Now().Add(-2 * freshFor), load.Progress{}}, "of tomorrow": {savedKind, time.Now().Add(time.Hour), load.Progress{}}} {
		raw, err := json.Marshal(s)
		if err = errors.Join(err, os.WriteFile(p.name, raw, 0o600)); err != nil {
			t.Fatal(err)
		}
		if got := read(); got != nil || notes != "" {
			t.Errorf("%s: %+v %s", name, got, notes)
		}
	}
	if err := os.WriteFile(p.name, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := read(); got != nil || !strings.Contains(notes, "from the start") {
		t.Errorf("no progress: %+v %s", got, notes)
	}
	kept(t, p, nil)
	left, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left: %v %v", left, err)
	}
	kept(t, progressOf("", memcached.Server{}), nil) // nowhere to keep it
}

// A dump takes the values, or what the limit leaves of them, and a list.
func TestSpace(t *testing.T) {
	st := memcached.State{Bytes: 1 << 30, Items: 1 << 20}
	for limit, want := range map[int64]int64{0: 1<<30 + lineSpace<<20, 1 << 20: 1<<20 + lineSpace<<20, 1 << 40: 1<<30 + lineSpace<<20} {
		if got := spaceOf(st, limit); got != want {
			t.Errorf("limit %d: %d, want %d", limit, got, want)
		}
	}
}
