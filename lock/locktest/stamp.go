package locktest

import (
	"sync"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/lock"
)

// A meddler writes as the holder while the clock of the next in line is being read: a driver that stamps
// before it asks, not after the reply, then puts an early stamp on a version that was sent later.
type meddler struct {
	holder *contender
	mu     sync.Mutex
	last   lock.Version
	sent   map[lock.Version]clock.Stamp
	left   int // writes still to be done by the clock
	done   int
}

// write sends one more version, stamped before it is sent.
func (m *meddler) write() (lock.Outcome, error) {
	at := clock.Now()
	r, err := m.holder.place.Write(m.holder.b.ctx, []byte("more"), m.last)
	if r.Outcome == lock.Committed {
		m.last = r.Version
		m.sent[r.Version] = at
	}
	return r.Outcome, err
}

// now is the meddling clock. It is called by the driver, so it judges nothing.
func (m *meddler) now() clock.Stamp {
	m.mu.Lock()
	defer m.mu.Unlock()
	read := clock.Now()
	if m.left == 0 {
		return read
	}
	for !clock.Now().Later(read) { // two readings may be equal
	}
	m.left--
	if outcome, err := m.write(); err == nil && outcome == lock.Committed {
		m.done++
	}
	return read
}

// arm lets the next few readings of the clock write, and gives the version that is last now.
func (m *meddler) arm(n int) lock.Version {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left = n
	return m.last
}

// push writes one version from the test itself.
func (m *meddler) push() {
	b := m.holder.b
	b.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if outcome, err := m.write(); outcome != lock.Committed {
		b.Fatalf("write: outcome %v (%v)", outcome, err)
	}
}

// testSawStamp: the stamp of a version is never before that version was even sent (T2).
func testSawStamp(b *bench) {
	m := &meddler{holder: b.holder("a"), sent: map[lock.Version]clock.Stamp{}}
	m.push()
	m.arm(2)
	next := b.waiting("next", func(s *lock.Settings) { s.Clock = m.now })
	for range 4 {
		m.push()
		m.arm(2)
		if !b.Traits.SawAtGrant {
			b.eventually(b.soon(), "the next in line sees the last version", func() bool { return next.hasSeen(m.arm(1)) })
		}
	}
	last := m.arm(0)
	m.sent[m.holder.release("bye", last, lock.Committed).Version] = m.sent[last]
	next.mustBeGranted()
	m.judge(next)
}

func (m *meddler) judge(next *contender) {
	b := next.b
	b.Helper()
	if len(next.sightings()) == 0 || (m.done == 0 && !b.Traits.SawAtGrant) {
		b.Fatalf("saw was called %d times with %d writes under the clock: this shows nothing", len(next.sightings()), m.done)
	}
	for _, s := range next.sightings() {
		sent, known := m.sent[s.version]
		if !known {
			b.Fatalf("saw got version %+v, which was never written", s.version)
		}
		if sent.Boot > s.stamp.Boot || sent.Raw > s.stamp.Raw {
			b.Fatalf("version %+v is stamped %+v, before it was sent at %+v", s.version, s.stamp, sent)
		}
	}
}
