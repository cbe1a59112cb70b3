//go:build bench

package bench

import (
	"fmt"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
)

// relay is one lock with a holder, whose successor is started for each round.
type relay struct {
	system
	row    *Sample
	gate   *gate
	proc   *testkit.Process // of the holder
	holder arrival
}

// TestBenchHandover measures from the old payload's death, at its own will,
// to the new payload's main, while the successor waits in the queue.
func TestBenchHandover(t *testing.T) {
	s := newSystems(t)
	s.prepare(t, "handover")
	var all []*relay
	var rows []*Sample
	for _, sys := range s.all() {
		r := &relay{system: sys, row: NewSample(sys.name), gate: newGate(t)}
		all, rows = append(all, r), append(rows, r.row)
		if err := r.first(t, s.payload); err != nil {
			r.row.Add(0, err)
		}
	}
	for range rounds(t, 30) {
		for _, r := range all {
			if r.row.Measures() {
				r.row.Add(r.round(t, s.payload))
			}
		}
	}
	show(t, "clean hand-over: payload's death to the next one's first instruction", "ms", nil, rows...)
}

func (r *relay) start(t *testing.T, payload string) *testkit.Process {
	return testkit.Start(t, append(r.contender("handover"), payload, r.gate.path)...)
}

func (r *relay) first(t *testing.T, payload string) (err error) {
	r.proc = r.start(t, payload)
	if r.holder, err = r.gate.next(r.proc); err != nil {
		err = fmt.Errorf("%w: %s", err, lastLine(r.proc.Stderr(t)))
	}
	return err
}

func (r *relay) round(t *testing.T, payload string) (float64, error) {
	next := r.start(t, payload)
	if err := r.awaitQueue(); err != nil {
		return 0, err
	}
	if err := r.holder.terminate(); err != nil {
		return 0, err
	}
	died, err := r.holder.death()
	if err != nil {
		return 0, err
	}
	a, err := r.gate.next(next)
	if err != nil {
		return 0, fmt.Errorf("%w: %s", err, lastLine(next.Stderr(t)))
	}
	old := r.proc
	r.proc, r.holder = next, a
	if a.start < died {
		return 0, fmt.Errorf("the new payload started %v before the old one had died", died-a.start)
	}
	return millis(a.start - died), exited(old)
}

// awaitQueue makes sure that the successor waits: else its own start would
// be measured.
func (r *relay) awaitQueue() error {
	word, ok := testkit.Poll(patience, func() (bool, string) {
		n, err := r.queue("handover")
		return err == nil && n == 2, fmt.Sprintf("%d contenders, %v", n, err)
	})
	if !ok {
		return fmt.Errorf("the successor does not queue: %s", word)
	}
	return nil
}
