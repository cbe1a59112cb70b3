package life

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// A manager stands in for systemd: a datagram socket that asks the kernel who sent each message.
type manager struct {
	address string
	mu      sync.Mutex
	lines   []string
	senders []int
}

func manage(t *testing.T, s *scene.Scene, name string) *manager {
	t.Helper()
	m := &manager{address: filepath.Join(s.Dir, name+".notify")}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var serr error
	if err := raw.Control(func(fd uintptr) { serr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) }); err != nil || serr != nil {
		t.Fatal(err, serr)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.hear(c)
	}()
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	return m
}

// hear reads until the socket is closed.
func (m *manager) hear(c *net.UnixConn) {
	b, oob := make([]byte, 1<<13), make([]byte, 256)
	for {
		n, on, _, _, err := c.ReadMsgUnix(b, oob)
		if err != nil {
			return
		}
		pid := -1
		if msgs, err := unix.ParseSocketControlMessage(oob[:on]); err == nil && len(msgs) == 1 {
			if cred, err := unix.ParseUnixCredentials(&msgs[0]); err == nil {
				pid = int(cred.Pid)
			}
		}
		m.mu.Lock()
		m.lines = append(m.lines, strings.Split(strings.TrimSuffix(string(b[:n]), "\n"), "\n")...)
		m.senders = append(m.senders, pid)
		m.mu.Unlock()
	}
}

func (m *manager) heard() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.lines)
}

func (m *manager) count(prefix string) (n int) {
	for _, l := range m.heard() {
		if strings.HasPrefix(l, prefix) {
			n++
		}
	}
	return n
}

// wait returns once this many lines begin so.
func (m *manager) wait(t *testing.T, n int, prefix string) {
	t.Helper()
	testkit.Wait(t, limit, func() (bool, string) {
		return m.count(prefix) >= n, fmt.Sprintf("%d times %s expected in %q", n, prefix, m.heard())
	})
}

func (m *manager) env() scene.Option {
	return scene.Env("NOTIFY_SOCKET="+m.address, "WATCHDOG_USEC=600000")
}

// The service manager is told of the order of a run, by the agent alone, and the payload of no manager.
func TestServiceManager(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(t *testing.T, isolate scene.Option) {
		s := calm(t)
		ma, mb := manage(t, s, "a"), manage(t, s, "b")
		said := filepath.Join(s.Dir, "environment")
		a := s.Run(t, "a", isolate, ma.env(), scene.Env("KEPT=yes"),
			scene.Command("sh", "-c", `trap 'exit 0' TERM; env >`+said+`.new; mv `+said+`.new `+said+`; while :; do sleep 0.1; done`),
			scene.Flags("--hooks-pre-start-exec", `["sh","-c","env >`+said+`.hook"]`))
		a.Serving(t)
		ma.wait(t, 1, "READY=1")
		ma.wait(t, 4, "WATCHDOG=1")
		testkit.Wait(t, limit, func() (bool, string) { return noted(t, said) != "", "the payload has not begun" })
		agent := a.Agent(t)

		b := s.Run(t, "b", isolate, mb.env(), scene.Command("sleep", "100"))
		mb.wait(t, 1, "STATUS=locking, behind a")
		mb.wait(t, 2, "EXTEND_TIMEOUT_USEC=") // the first one, and one while it waits
		if mb.count("READY=1")+mb.count("STOPPING=1") > 0 {
			t.Errorf("a waiting contender said %q", mb.heard())
		}
		if code := a.Stop(t); code != 0 {
			t.Errorf("ended with %d", code)
		}
		mb.wait(t, 1, "READY=1")
		if code := b.Stop(t); code != 143 {
			t.Errorf("ended with %d: expected 143", code)
		}
		inOrder(t, ma, "STATUS=looking", "EXTEND_TIMEOUT_USEC=30000000", "READY=1", "STATUS=serving, token 1", "STOPPING=1", "STATUS=killing: ")
		inOrder(t, mb, "STATUS=looking", "STATUS=locking, behind a", "STATUS=holding-off", "READY=1", "STATUS=serving, token 2", "STOPPING=1")
		ma.mu.Lock()
		defer ma.mu.Unlock()
		if i := slices.IndexFunc(ma.senders, func(pid int) bool { return pid != agent }); i >= 0 {
			t.Errorf("process %d sent a message: expected the agent, %d, alone", ma.senders[i], agent)
		}
		for _, path := range []string{said, said + ".hook"} {
			env := noted(t, path)
			if !strings.Contains(env, "KEPT=yes\n") || strings.Contains(env, "NOTIFY_SOCKET") || strings.Contains(env, "WATCHDOG") {
				t.Errorf("%s: %s", path, env)
			}
		}
	})
}

// noted is what a payload left in a file, empty as long as there is none.
func noted(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(b)
}

// inOrder fails unless lines with these beginnings came in this order, READY and STOPPING once each.
func inOrder(t *testing.T, m *manager, want ...string) {
	t.Helper()
	lines := m.heard()
	for _, w := range want {
		i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, w) })
		if i < 0 {
			t.Errorf("no %s in its place in %q", w, m.heard())
			return
		}
		lines = lines[i+1:]
	}
	if m.count("READY=1") != 1 || m.count("STOPPING=1") != 1 {
		t.Errorf("ready or stopping not exactly once: %q", m.heard())
	}
}

// A manager that is gone, or does not read, changes nothing.
func TestServiceManagerThatDoesNotListen(t *testing.T) {
	t.Parallel()
	s := calm(t)
	for i, address := range []string{filepath.Join(s.Dir, "gone"), "relative", full(t, s)} {
		a := s.Run(t, string(rune('a'+i)), scene.Env("NOTIFY_SOCKET="+address, "WATCHDOG_USEC=30000"), scene.Command("sleep", "100"))
		a.Serving(t)
		if code := a.Stop(t); code != 143 {
			t.Errorf("%s: ended with %d: expected 143", address, code)
		}
	}
}

// full is a socket that takes nothing more.
func full(t *testing.T, s *scene.Scene) string {
	t.Helper()
	address := filepath.Join(s.Dir, "full")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for range 1 << 16 {
		if err = unix.Sendto(fd, []byte("x"), unix.MSG_DONTWAIT, &unix.SockaddrUnix{Name: address}); err != nil {
			break
		}
	}
	if err != unix.EAGAIN {
		t.Fatalf("the socket is not full: %v", err)
	}
	return address
}
