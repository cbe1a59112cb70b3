package lifecycle

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// scriptedCount stands for the kernel's count; the real one is in the tests of containers.
type scriptedCount struct {
	n   uint64
	err error
}

func (c *scriptedCount) Read() (uint64, error) { return c.n, c.err }
func (c *scriptedCount) Path() string          { return "/count" }
func (c *scriptedCount) File() *os.File        { return nil }
func (c *scriptedCount) Close() error          { return nil }

const (
	killed = syscall.WaitStatus(syscall.SIGKILL)
	failed = syscall.WaitStatus(1 << 8)
)

// What is told with an end: only what was counted shortly before it, with its number and how far back.
func TestMemoryTold(t *testing.T) {
	begun := time.Now()
	for _, c := range []struct {
		name   string
		rise   time.Duration // when one more was counted; 0: never
		by     uint64
		end    time.Duration
		status syscall.WaitStatus
		want   []string // nil: nothing is told
	}{
		{"killed by somebody", 0, 0, time.Minute, killed, nil},
		{"at once", 30 * time.Second, 1, 30 * time.Second, killed, []string{"out of memory", "1 process of", "s before", "/count"}},
		{"a shell ends for its child", 30 * time.Second, 2, 32 * time.Second, failed, []string{"2 processes of"}},
		{"an ordinary end", 30 * time.Second, 1, 30 * time.Second, 0, nil},
		{"long before", 30 * time.Second, 1, 45 * time.Second, killed, nil},
		{"in the first second", 500 * time.Millisecond, 1, 500 * time.Millisecond, killed, []string{"in the 1s before"}},
	} {
		counter := &scriptedCount{n: 7}
		m := newMemory(counter, count{7, begun})
		for at := time.Duration(0); at < c.end; at += memoryPeriod {
			if c.rise > 0 && at >= c.rise {
				counter.n = 7 + c.by
			}
			m.look(begun.Add(at))
		}
		counter.n = 7 + c.by
		got := m.tell(c.status, begun.Add(c.end))
		if (got != "") != (c.want != nil) {
			t.Errorf("%s: told %q", c.name, got)
		}
		for _, part := range c.want {
			if !strings.Contains(got, part) {
				t.Errorf("%s: told %q, which lacks %q", c.name, got, part)
			}
		}
	}
}

// A count that cannot be read says nothing, and one that could not be found is not zero.
func TestMemoryUnknown(t *testing.T) {
	counter := &scriptedCount{n: 7, err: errors.New("no such device")}
	m := newMemory(counter, count{3, time.Now()})
	if got := m.tell(killed, time.Now()); got != "" {
		t.Errorf("an unreadable count told %q", got)
	}
	if n := m.kills(); n == nil || *n != 0 {
		t.Errorf("%v kills: expected what was known last", n)
	}
	if n := (&memory{}).kills(); n != nil {
		t.Errorf("%d kills without a counter: expected nothing", *n)
	}
}
