package databases

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
)

// A watch writes the scene's trace: one line for every process that has the data directory as its working
// directory, as each of these servers has, at every look. Its token is the newest that an entrypoint had
// been given when the process was first seen, 0 before the first: a process of an older one that is still
// there then shows as an overlap.
type watch struct {
	data, tokens string
	out          *os.File

	mu   sync.Mutex
	seen map[process]string // token
	now  []process
	at   time.Duration // of the last look
	err  error
}

func startWatch(t testing.TB, r *rig) *watch {
	t.Helper()
	out, err := os.Create(r.Trace)
	must(t, err)
	dir, err := filepath.EvalSymlinks(r.Dir)
	must(t, err)
	w := &watch{data: dir + strings.TrimPrefix(r.db.Data, r.Dir), tokens: r.tokens, out: out, seen: map[process]string{}}
	lookout.add(w)
	t.Cleanup(func() {
		lookout.remove(w)
		must(t, errors.Join(w.err, w.out.Close()))
	})
	return w
}

// note reads the tokens after the processes: an entrypoint writes its token before it starts any.
func (w *watch) note(at time.Duration, found []process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at, w.now = at, found
	if len(found) == 0 {
		return
	}
	raw, err := os.ReadFile(w.tokens)
	w.err = errors.Join(w.err, err)
	all := append([]string{"0"}, strings.Fields(string(raw))...)
	var lines strings.Builder
	for _, p := range found {
		if w.seen[p] == "" {
			w.seen[p] = all[len(all)-1]
		}
		fmt.Fprintf(&lines, "%d %s %d tick\n", int64(at), w.seen[p], p.pid)
	}
	_, err = w.out.WriteString(lines.String())
	w.err = errors.Join(w.err, err)
}

// last is what the last look has found, and when.
func (w *watch) last() (time.Duration, []process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at, w.now
}

// fresh waits for a look that began after now.
func (w *watch) fresh(t testing.TB) []process {
	t.Helper()
	now := scene.Now()
	var found []process
	waitFor(t, func() (bool, string) {
		var at time.Duration
		at, found = w.last()
		return at > now, "nobody looks"
	})
	return found
}

// gone waits until no process has the data directory open, and gives how long after that moment the last
// was seen.
func (r *rig) gone(t testing.TB, since time.Duration) time.Duration {
	t.Helper()
	waitFor(t, func() (bool, string) {
		at, left := r.watch.last()
		return at > since && len(left) == 0, fmt.Sprintf("processes %v still have %s open", left, r.Data)
	})
	var last time.Duration
	for _, l := range r.Lines(t) {
		last = max(last, l.At)
	}
	return last - since
}
