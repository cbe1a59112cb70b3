package databases

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
)

// A writer is an open client that inserts one row after the other until the server takes no more.
type writer struct {
	acked atomic.Int64 // rows from first on
	first int
	stop  chan struct{}
	done  chan struct{}
	err   error // why it ended, once done is closed
}

// write opens a client and returns once some rows were acknowledged.
func (r *rig) write(t testing.TB) *writer {
	t.Helper()
	r.next += 1_000_000
	w := &writer{first: r.next, stop: make(chan struct{}), done: make(chan struct{})}
	session := r.db.Open(t)
	go func() { defer close(w.done); w.err = w.run(session, r.kind) }()
	t.Cleanup(w.end)
	r.writers = append(r.writers, w)
	waitFor(t, func() (bool, string) {
		select {
		case <-w.done:
			t.Fatalf("%s took %d rows: %v", r.name, w.acked.Load(), w.err)
		default:
		}
		return w.acked.Load() >= 20, "no rows yet"
	})
	return w
}

func (w *writer) run(s *testkit.Session, k kind) error {
	beat := time.NewTicker(3 * time.Millisecond)
	defer beat.Stop()
	for n := w.first; n < w.first+1_000_000; n++ {
		select {
		case <-w.stop:
			return nil
		case <-beat.C:
		}
		got, err := s.Ask(fmt.Sprintf(k.insert, n), limit)
		if err != nil {
			return err
		}
		if got != k.answer(n) {
			return fmt.Errorf("row %d: answered %q, expected %q", n, got, k.answer(n))
		}
		w.acked.Add(1)
	}
	return nil
}

// end stops it, or waits for the end that the server brings.
func (w *writer) end() {
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	<-w.done
}

// cut waits until the connection is gone, which it must be without our doing.
func (w *writer) cut(t testing.TB) {
	t.Helper()
	waitFor(t, func() (bool, string) {
		select {
		case <-w.done:
			return true, ""
		default:
			return false, "the server still takes rows"
		}
	})
	if w.err == nil {
		t.Error("the writer came to its own end: expected the server's")
	}
}

// intact fails unless every row that was acknowledged to any writer is there, and at most one more of each:
// the one in flight. It ends the writers.
func (r *rig) intact(t testing.TB) {
	t.Helper()
	for _, w := range r.writers {
		w.end()
	}
	have := map[string]bool{}
	for _, row := range strings.Fields(r.db.Query(t, r.rows)) {
		have[row] = true
	}
	total := 0
	for _, w := range r.writers {
		acked := int(w.acked.Load())
		total += acked
		for n := w.first; n < w.first+acked; n++ {
			if !have[fmt.Sprint(n)] {
				t.Errorf("%s has %d rows, and lost the acknowledged row %d", r.name, len(have), n)
				return
			}
		}
	}
	if len(have) > total+len(r.writers) {
		t.Errorf("%s has %d rows, %d were acknowledged to %d clients", r.name, len(have), total, len(r.writers))
	}
}

func waitFor(t testing.TB, cond func() (bool, string)) {
	t.Helper()
	testkit.Wait(t, limit, cond)
}
