package snapshots

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
)

// A screen is the far side of a terminal, and what was shown on it.
type screen struct {
	mu    sync.Mutex
	shown bytes.Buffer
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown.Write(b)
}

func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown.String()
}

// newScreen gives a screen and the terminal of 60 columns to write to.
func newScreen(t *testing.T) (*screen, *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		testkit.Skip(t, "pty", err.Error())
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	must(t, err)
	must(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	must(t, unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 60}))
	s, done := &screen{}, make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(s, master) // ends with EIO when the last one closes the terminal
	}()
	t.Cleanup(func() { terminal.Close(); <-done; master.Close() })
	return s, terminal
}

// TestProgressOnTerminal: one line, rewritten in place at most five times a second and never wider than the
// terminal, wiped before the end; the result stands on stdout.
func TestProgressOnTerminal(t *testing.T) {
	t.Parallel()
	p := inDirectory(t)
	p.ok(t, "store", "init")
	gate := fifo(t, p)
	shown, terminal := newScreen(t)
	cmd := exec.Command(testkit.Binary(t), append([]string{"backup", "--scratch", p.scratch(t)}, append(p.flags, "--", "cat", gate)...)...)
	cmd.Stderr = terminal
	began := time.Now()
	proc := testkit.StartCmd(t, cmd)
	testkit.Wait(t, limit, func() (bool, string) {
		return strings.Count(shown.text(), "\r\x1b[Kbackup") >= 3, fmt.Sprintf("shown: %q", shown.text())
	})
	writes := strings.Count(shown.text(), "\r\x1b[K")
	if most := int(time.Since(began)/(200*time.Millisecond)) + 1; writes > most {
		t.Errorf("%d lines in %v", writes, time.Since(began))
	}
	must(t, os.WriteFile(gate, []byte("some bytes"), 0))
	if code := proc.Wait(t, limit); code != 0 || !strings.Contains(proc.Stdout(t), "published") {
		t.Errorf("%d %s", code, proc.Stdout(t))
	}
	testkit.Wait(t, limit, func() (bool, string) {
		return strings.HasSuffix(shown.text(), "\r\x1b[K"), fmt.Sprintf("shown: %q", shown.text())
	})
	for line := range strings.SplitSeq(shown.text(), "\r\x1b[K") {
		if len(line) > 59 || strings.Contains(line, "\n") {
			t.Errorf("%q on a terminal of 60 columns", line)
		}
	}
}

// TestProgressElsewhere: without a terminal a line of the log each ten seconds, or of JSON where that is asked for.
func TestProgressElsewhere(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string][]string{"log": nil, "json": {"--json"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := inDirectory(t)
			p.ok(t, "store", "init")
			proc, open := gated(t, p, fifo(t, p), flags...)
			testkit.Wait(t, limit, func() (bool, string) {
				said := proc.Stdout(t) + proc.Stderr(t)
				return strings.Contains(said, "backup"), "no word of progress"
			})
			open()
			if code := proc.Wait(t, limit); code != 0 {
				t.Fatalf("%d: %s", code, proc.Stderr(t))
			}
			if name == "log" {
				var line struct {
					Time, Level, Msg, Rate, Elapsed, Left string
					Entries, Bytes, Total, Stored         int64
				}
				strictly(t, strings.SplitN(proc.Stderr(t), "\n", 2)[0], &line)
				return
			}
			var line struct {
				Progress struct {
					Stage                               string
					Entries, Bytes, Total, Stored, Rate int64
					Elapsed                             float64 `json:"elapsed_seconds"`
					Left                                float64 `json:"left_seconds"`
				}
			}
			strictly(t, strings.SplitN(proc.Stdout(t), "\n", 2)[0], &line)
			var doc backupDoc
			strictly(t, last(proc.Stdout(t)), &doc)
		})
	}
}
