package main

import (
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/lifecycle"
)

// heard is a herald with the manager that listens to it, and a clock of its own.
type heard struct {
	*herald
	t       *testing.T
	manager *net.UnixConn
	now     clock.Stamp
}

func newHeard(t *testing.T, environ ...string) *heard {
	t.Helper()
	address := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	h := newHerald(append(environ, "NOTIFY_SOCKET="+address), slog.New(slog.NewTextHandler(io.Discard, nil)))
	t.Cleanup(func() { h.close(); c.Close() })
	return &heard{herald: h, t: t, manager: c, now: clock.Stamp{Boot: time.Hour, Raw: time.Hour}}
}

// turn is one turn of the loop, some time after the last one, and what the manager got of it.
func (h *heard) turn(after time.Duration, p lifecycle.Phase, st lifecycle.Status) []string {
	h.t.Helper()
	h.now = h.now.Add(after)
	st.Turned = h.now
	h.see(p, st)
	return h.got()
}

// got is the message that lies in the socket; a datagram is there when its send returned.
func (h *heard) got() []string {
	h.t.Helper()
	if err := h.manager.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		h.t.Fatal(err)
	}
	b := make([]byte, 1<<13)
	n, err := h.manager.Read(b)
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(b[:n]), "\n"), "\n")
}

func behind(holder string) (st lifecycle.Status) { st.Lock.Ahead = holder; return st }
func token(text string) (st lifecycle.Status)    { st.Lock.Token = text; return st }

func TestHerald(t *testing.T) {
	h := newHeard(t)
	const more, ms = "EXTEND_TIMEOUT_USEC=30000000", time.Millisecond
	stuck, drain, told := lifecycle.Status{}, lifecycle.Status{}, lifecycle.Status{}
	stuck.Stuck, drain.Drain, told.Verdict = []int{7}, "the sync hangs", "stopped by terminated"
	for i, c := range []struct {
		after time.Duration
		phase lifecycle.Phase
		st    lifecycle.Status
		want  []string
	}{
		{0, lifecycle.Looking, lifecycle.Status{}, []string{"STATUS=looking", more}},
		{200 * ms, lifecycle.Locking, lifecycle.Status{}, []string{"STATUS=locking"}},
		{200 * ms, lifecycle.Locking, behind("a\nREADY=1"), []string{"STATUS=locking, behind a READY=1"}},
		{200 * ms, lifecycle.Locking, behind("a\nREADY=1"), nil},
		{5 * time.Second, lifecycle.Locking, behind("a\nREADY=1"), []string{more}},
		{time.Second, lifecycle.HoldingOff, lifecycle.Status{}, []string{"STATUS=holding-off"}},
		{5 * time.Second, lifecycle.Restoring, lifecycle.Status{}, []string{"STATUS=restoring", more}},
		{200 * ms, lifecycle.Serving, token("7"), []string{"READY=1", "STATUS=serving, token 7"}},
		{time.Hour, lifecycle.Serving, token("7"), nil},
		{200 * ms, lifecycle.Stopping, told, []string{"STOPPING=1", "STATUS=stopping: stopped by terminated"}},
		{time.Minute, lifecycle.Killing, told, []string{"STATUS=killing: stopped by terminated"}},
		{time.Second, lifecycle.Killing, stuck, []string{"STATUS=killing, killed but not dead: [7]", more}},
		{5 * time.Second, lifecycle.Draining, drain, []string{"STATUS=draining, the sync hangs", more}},
		{5 * time.Second, lifecycle.Finished, told, []string{"STATUS=finished: stopped by terminated"}},
	} {
		if got := h.turn(c.after, c.phase, c.st); !slices.Equal(got, c.want) {
			t.Errorf("turn %d: got %q, want %q", i, got, c.want)
		}
	}
}

// TestEndWithoutService: whatever ends a start, it is told once, and no more time is asked for than a last
// snapshot takes.
func TestEndWithoutService(t *testing.T) {
	for p := lifecycle.Looking; p <= lifecycle.Finished; p++ {
		h := newHeard(t)
		got := h.turn(0, p, lifecycle.Status{})
		start := p < lifecycle.Serving && p != lifecycle.Withdrawing
		if slices.Contains(got, "STOPPING=1") != (!start && p != lifecycle.Serving) {
			t.Errorf("%s: %q", p, got)
		}
		if slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "EXTEND") }) != (start || p == lifecycle.Saving) { // the last snapshot takes its time
			t.Errorf("%s: %q", p, got)
		}
		if again := h.turn(time.Second, p, lifecycle.Status{}); again != nil {
			t.Errorf("%s again: %q", p, again)
		}
	}
}

// TestHeraldTriesAgain: READY=1 must arrive, though nobody took it at first.
func TestHeraldTriesAgain(t *testing.T) {
	h := newHeard(t)
	address := h.manager.LocalAddr().String()
	if err := os.Rename(address, address+".away"); err != nil {
		t.Fatal(err)
	}
	if got := h.turn(0, lifecycle.Serving, token("7")); got != nil {
		t.Fatalf("got %q without a socket", got)
	}
	if err := os.Rename(address+".away", address); err != nil {
		t.Fatal(err)
	}
	if got := h.turn(heraldRetry/2, lifecycle.Serving, token("7")); got != nil {
		t.Errorf("tried again at once: %q", got)
	}
	if got := h.turn(heraldRetry/2, lifecycle.Serving, token("7")); !slices.Contains(got, "READY=1") {
		t.Errorf("got %q: expected READY=1", got)
	}
	if got := h.turn(heraldRetry, lifecycle.Serving, token("7")); got != nil {
		t.Errorf("said twice: %q", got)
	}
}

// TestHeraldFeedsTheWatchdog: of the manager's own child alone, and only by turns of the loop.
func TestHeraldFeedsTheWatchdog(t *testing.T) {
	for pid, fed := range map[int]bool{os.Getpid(): true, os.Getppid(): true, 1 << 29: false} {
		h := newHeard(t, "WATCHDOG_USEC=3000000", "WATCHDOG_PID="+strconv.Itoa(pid))
		if got := h.turn(0, lifecycle.Serving, token("7")); slices.Contains(got, "WATCHDOG=1") != fed {
			t.Errorf("pid %d: %q", pid, got)
		}
		if got := h.turn(900*time.Millisecond, lifecycle.Serving, token("7")); got != nil {
			t.Errorf("pid %d, too early: %q", pid, got)
		}
		if got := h.turn(100*time.Millisecond, lifecycle.Serving, token("7")); slices.Equal(got, []string{"WATCHDOG=1"}) != fed {
			t.Errorf("pid %d: %q", pid, got)
		}
	}
}

func TestNobodyToTell(t *testing.T) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	for _, environ := range [][]string{nil, {"NOTIFY_SOCKET="}, {"NOTIFY_SOCKET=relative"}} {
		h := newHerald(environ, log)
		if h.observer() != nil {
			t.Errorf("%q: somebody listens", environ)
		}
		h.close()
	}
}
