package lifecycle

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/interlock-run/interlock/internal/oom"
	"github.com/interlock-run/interlock/supervise"
)

// memory is what the kernel counts of kills for lack of memory where the payload runs. It says how many, not
// whom: so an end is told together with what was counted shortly before it, and nothing is made of it.
type memory struct {
	counter oomCounter // nil: not known
	started uint64     // the count when the payload was started
	latest  count
	next    count // becomes past when it is a span old
	past    count
}

// oomCounter is oom.Counter.
type oomCounter interface {
	Read() (uint64, error)
	Path() string
	File() *os.File
	Close() error
}

type count struct {
	n  uint64
	at time.Time
}

// memorySpan is how far back a kill may lie and still be told with an end: a shell or an entrypoint may take
// a moment to end for its child's death.
const memorySpan = 5 * time.Second

// memoryPeriod is how often the count is looked at.
const memoryPeriod = time.Second

// openMemory finds the counter, beside the first steps: nothing waits for it. From then on the loop reads
// it by itself: that is one call, which waits for no filesystem.
func (r *Runner) openMemory() {
	group := ""
	if r.domain.info.Mode == supervise.ModeCgroup2 {
		group = r.domain.info.Cgroup
	}
	r.besideAlways(func(context.Context) message {
		c, err := oom.Open(group)
		var was uint64
		if err == nil {
			was, err = c.Read()
		}
		return message{then: func() { r.heedMemory(c, was, err) }}
	})
}

func (r *Runner) heedMemory(c oomCounter, was uint64, err error) {
	if err != nil {
		r.debug("what the kernel kills for lack of memory is not known here", "cause", err)
		return
	}
	r.domain.payload.memory = newMemory(c, count{was, time.Now()})
	r.debug("kills for lack of memory are counted", "by", c.Path())
	r.tellGuard()
}

func newMemory(c oomCounter, first count) memory {
	return memory{counter: c, started: first.n, latest: first, next: first, past: first}
}

// tellGuard lets the guard say why, should the agent be the one that is killed.
func (r *Runner) tellGuard() {
	if err := r.guard.Memory(r.domain.payload.memory.counter.File(), r.domain.payload.memory.past.n); err != nil && !r.domain.gone {
		r.debug("the guard cannot be told of the memory cgroup", "cause", err)
	}
}

// watchMemory looks at the count now and then.
func (r *Runner) watchMemory(now time.Time) {
	m := &r.domain.payload.memory
	if m.counter == nil || now.Sub(m.latest.at) < memoryPeriod {
		return
	}
	before, past := m.latest.n, m.past.n
	m.look(now)
	if m.latest.n > before {
		r.log.Warn("out of memory: the kernel killed processes of this memory cgroup", "processes", m.latest.n-before, "counted_by", m.counter.Path())
	}
	if m.past.n != past {
		r.tellGuard()
	}
}

// look reads the count; one that cannot be read is as it was.
func (m *memory) look(now time.Time) {
	if m.counter == nil {
		return
	}
	m.latest.at = now
	if n, err := m.counter.Read(); err == nil && n > m.latest.n {
		m.latest.n = n
	}
	if now.Sub(m.next.at) >= memorySpan {
		m.past, m.next = m.next, m.latest
	}
}

// begin is the payload's start.
func (m *memory) begin() {
	m.look(time.Now())
	m.started = m.latest.n
}

// tell is what was counted shortly before an end: empty for an ordinary one, and where nothing was.
func (m *memory) tell(status syscall.WaitStatus, now time.Time) string {
	if m.counter == nil || status.Exited() && status.ExitStatus() == 0 {
		return ""
	}
	m.look(now)
	if m.latest.n <= m.past.n {
		return ""
	}
	n, s := m.latest.n-m.past.n, ""
	if n > 1 {
		s = "es"
	}
	return fmt.Sprintf("; out of memory: the kernel killed %d process%s of its memory cgroup in the %v before (oom_kill in %s)",
		n, s, max(now.Sub(m.past.at).Round(time.Second), time.Second), m.counter.Path())
}

// kills is the count since the payload's start, nil where it is not known.
func (m *memory) kills() *uint64 {
	if m.counter == nil {
		return nil
	}
	n := m.latest.n - m.started
	return &n
}

// close lets go of the counter.
func (m *memory) close(log *slog.Logger) {
	if m.counter == nil {
		return
	}
	if err := m.counter.Close(); err != nil {
		log.Debug("cannot close the memory cgroup's count", "cause", err)
	}
	m.counter = nil
}
