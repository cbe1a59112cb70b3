package scene

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A Line is one moment of a payload's life.
type Line struct {
	At    time.Duration // CLOCK_BOOTTIME
	Token uint64
	PID   int
	Event string // begin, tick, signal-N, end
}

// Lines reads the trace; none if it does not exist yet.
func (s *Scene) Lines(t testing.TB) []Line {
	t.Helper()
	f, err := os.Open(s.Trace)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines []Line
	for r := bufio.NewReader(f); ; {
		text, err := r.ReadString('\n')
		if err == io.EOF { // a write is seen page by page: what has no end yet is read next time
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		l, err := parse(text)
		if err != nil {
			t.Fatalf("trace line %d: %v", len(lines)+1, err)
		}
		lines = append(lines, l)
	}
}

func parse(text string) (Line, error) {
	f := strings.Fields(text)
	if len(f) != 4 {
		return Line{}, fmt.Errorf("%q has %d fields: expected 4", text, len(f))
	}
	at, err1 := strconv.ParseInt(f[0], 10, 64)
	token, err2 := strconv.ParseUint(f[1], 10, 64)
	pid, err3 := strconv.Atoi(f[2])
	if err1 != nil || err2 != nil || err3 != nil {
		return Line{}, fmt.Errorf("%q does not parse", text)
	}
	return Line{time.Duration(at), token, pid, f[3]}, nil
}

// Now is the trace's clock.
func Now() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("the kernel has no CLOCK_BOOTTIME: " + err.Error())
	}
	return time.Duration(ts.Nano())
}

// Judge fails the test if payloads of two tokens lived at once, if a token went back, or if a moment of an
// older one lies after the begin of a younger. It gives the tokens in order.
func (s *Scene) Judge(t testing.TB) []uint64 {
	t.Helper()
	type life struct{ first, last time.Duration }
	lives := map[uint64]*life{}
	var order []uint64
	for _, l := range s.Lines(t) {
		have, known := lives[l.Token]
		if !known {
			have = &life{first: l.At}
			lives[l.Token] = have
			order = append(order, l.Token)
		}
		have.first, have.last = min(have.first, l.At), max(have.last, l.At)
	}
	for i := 1; i < len(order); i++ {
		older, younger := order[i-1], order[i]
		if younger <= older {
			t.Errorf("token %d began after token %d", younger, older)
		}
		if lives[older].last >= lives[younger].first {
			t.Errorf("OVERLAP: token %d still lived %v after token %d had begun", older, lives[older].last-lives[younger].first, younger)
		}
	}
	return order
}

// Last is the last moment of any payload of this token.
func (s *Scene) Last(t testing.TB, token uint64) time.Duration {
	t.Helper()
	var last time.Duration
	for _, l := range s.Lines(t) {
		if l.Token == token {
			last = max(last, l.At)
		}
	}
	return last
}

// Count counts events of a kind.
func (s *Scene) Count(t testing.TB, event string) int {
	t.Helper()
	n := 0
	for _, l := range s.Lines(t) {
		if l.Event == event {
			n++
		}
	}
	return n
}

// Keeps fails unless the job goes on for so long with the lock held and its lease renewed.
func (j *Job) Keeps(t testing.TB, d time.Duration) {
	t.Helper()
	end := time.NewTimer(d)
	defer end.Stop()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for done := false; !done; {
		select {
		case <-j.Exited():
			t.Fatalf("%s ended: %s", j.Holder, j.ReasonText())
		case <-end.C:
			done = true
		case <-tick.C:
		}
		if st, err := j.Status(); err != nil || !st.Lock.Held || st.Lock.LeaseLeft <= 0 {
			t.Fatalf("%+v, %v: expected the lock held and the lease renewed", st.Lock, err)
		}
	}
}
