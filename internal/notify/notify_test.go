package notify

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func variables(kv map[string]string) func(string) string {
	return func(name string) string { return kv[name] }
}

// manager is a service manager's end.
func manager(t *testing.T, address string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() }) // a test may have closed it
	return c
}

func open(t *testing.T, address string) *Socket {
	t.Helper()
	s, err := Open(variables(map[string]string{"NOTIFY_SOCKET": address}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func receive(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1<<16)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestSend(t *testing.T) {
	dir := t.TempDir()
	for _, address := range []string{filepath.Join(dir, "notify"), "@interlock-notify" + filepath.Base(dir) + t.Name()} {
		c, s := manager(t, address), open(t, address)
		if err := s.Send("READY=1", "STATUS=serving"); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, c); got != "READY=1\nSTATUS=serving\n" {
			t.Errorf("%s: %q", address, got)
		}
		flags, err := unix.FcntlInt(uintptr(s.fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor flags %#x, %v: expected close-on-exec", flags, err)
		}
	}
}

// TestNobodySaysReadyForUs: a holder's name comes from the lock service, and may be anything.
func TestNobodySaysReadyForUs(t *testing.T) {
	address := filepath.Join(t.TempDir(), "notify")
	c, s := manager(t, address), open(t, address)
	if err := s.Send("STATUS=behind x\nREADY=1\x00\xff"+strings.Repeat("é", 5000), "WATCHDOG=1"); err != nil {
		t.Fatal(err)
	}
	got := receive(t, c)
	lines := strings.Split(got, "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "STATUS=behind x READY=1 ?é") || lines[1] != "WATCHDOG=1" {
		t.Errorf("%q: expected two lines", got)
	}
	if len(got) > 1024 || strings.ToValidUTF8(got, "") != got {
		t.Errorf("%d bytes, %q: expected valid UTF-8 within a page", len(got), got)
	}
}

// TestNeverWaits: a manager that does not read, one that went, and one that came back.
func TestNeverWaits(t *testing.T) {
	address := filepath.Join(t.TempDir(), "notify")
	s := open(t, address)
	if err := s.Send("READY=1"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("without a socket: %v", err)
	}
	c := manager(t, address)
	full := make(chan error, 1)
	go func() {
		for range 1 << 16 {
			if err := s.Send("WATCHDOG=1"); err != nil {
				full <- err
				return
			}
		}
		full <- nil
	}()
	select {
	case err := <-full:
		if !errors.Is(err, unix.EAGAIN) {
			t.Errorf("a full socket: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("a full socket held the sender up")
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Send("READY=1"); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("a dead socket: %v", err)
	}
	if err := os.Remove(address); err != nil {
		t.Fatal(err)
	}
	again := manager(t, address)
	if err := s.Send("READY=1"); err != nil || receive(t, again) != "READY=1\n" {
		t.Errorf("a manager that came back: %v", err)
	}
}

func TestOpen(t *testing.T) {
	if s, err := Open(variables(nil)); s != nil || err != nil {
		t.Errorf("without a variable: %v, %v", s, err)
	}
	for _, bad := range []string{"run/notify", "vsock:2:1", "x"} {
		if s, err := Open(variables(map[string]string{"NOTIFY_SOCKET": bad})); s != nil || err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	long := open(t, "/"+strings.Repeat("x", 200))
	if err := long.Send("READY=1"); err == nil {
		t.Error("a path beyond the limit took a message")
	}
}

func TestWatchdog(t *testing.T) {
	for _, c := range []struct {
		usec, pid string
		want      time.Duration
		bad       bool
	}{
		{"", "", 0, false}, {"", "7", 0, false}, {"2000000", "", 2 * time.Second, false},
		{"2000000", "7", 2 * time.Second, false}, {"2000000", "8", 2 * time.Second, false},
		{"2000000", "9", 0, false}, {"2000000", "x", 0, false}, {"1", "7", time.Microsecond, false},
		{"0", "7", 0, true}, {"-1", "7", 0, true}, {"2s", "7", 0, true}, {"9223372036854775807", "7", 0, true},
	} {
		got, err := Watchdog(variables(map[string]string{"WATCHDOG_USEC": c.usec, "WATCHDOG_PID": c.pid}), 7, 8)
		if got != c.want || (err != nil) != c.bad {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
	}
}
