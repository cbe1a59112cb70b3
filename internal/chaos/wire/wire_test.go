package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// rig is two nodes, one of which echoes.
type rig struct {
	net  *Net
	a, b *Node
}

func newRig(t *testing.T) *rig {
	t.Helper()
	testkit.RequireRoot(t)
	n := New(1)
	t.Cleanup(func() { must(t, n.Close()) })
	r := &rig{net: n, a: attach(t, n, "a", 1), b: attach(t, n, "b", 2)}
	lis, err := r.b.Listen(address(r.b))
	must(t, err)
	done := make(chan struct{})
	go func() { defer close(done); echo(lis) }()
	t.Cleanup(func() { must(t, lis.Close()); <-done })
	return r
}

func attach(t *testing.T, n *Net, name string, k int) *Node {
	t.Helper()
	node, err := n.Attach(name, Address(k))
	must(t, err)
	return node
}

func address(n *Node) string { return n.Addr.String() + ":7" }

func echo(lis net.Listener) {
	for {
		c, err := lis.Accept()
		if err != nil {
			return
		}
		go func() { // ends with the test's own end of the connection
			defer c.Close()
			_, _ = io.Copy(c, c)
		}()
	}
}

func (r *rig) dial(limit time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return r.a.Dial(ctx, "tcp", address(r.b))
}

func (r *rig) connected(t *testing.T) net.Conn {
	t.Helper()
	c, err := r.dial(5 * time.Second)
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// round sends some bytes and waits for them.
func round(c net.Conn, size int, limit time.Duration) (time.Duration, error) {
	begun := time.Now()
	if err := c.SetDeadline(begun.Add(limit)); err != nil {
		return 0, err
	}
	if _, err := c.Write(make([]byte, size)); err != nil {
		return 0, err
	}
	_, err := io.ReadFull(c, make([]byte, size))
	return time.Since(begun), err
}

func TestPasses(t *testing.T) {
	r := newRig(t)
	if _, err := round(r.connected(t), 100_000, 5*time.Second); err != nil {
		t.Error(err)
	}
}

// TestCut: nothing passes, in each direction by itself, and what was sent meanwhile arrives after the heal.
func TestCut(t *testing.T) {
	for _, d := range []string{"both", "there", "back"} {
		t.Run(d, func(t *testing.T) {
			r := newRig(t)
			c := r.connected(t)
			if d != "back" {
				r.net.Set(r.a, r.b, Rule{Drop: true})
			}
			if d != "there" {
				r.net.Set(r.b, r.a, Rule{Drop: true})
			}
			if _, err := round(c, 10, 300*time.Millisecond); !timedOut(err) {
				t.Errorf("cut %s: %v", d, err)
			}
			r.net.Both(r.a, r.b, Rule{})
			must(t, c.SetDeadline(time.Now().Add(10*time.Second)))
			if _, err := io.ReadFull(c, make([]byte, 10)); err != nil {
				t.Errorf("healed: %v", err)
			}
		})
	}
}

func timedOut(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// TestReject: an open connection is reset, a new one refused.
func TestReject(t *testing.T) {
	r := newRig(t)
	c := r.connected(t)
	r.net.Both(r.a, r.b, Rule{Reject: true})
	if _, err := round(c, 10, 3*time.Second); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("open connection: %v, expected a reset", err)
	}
	if _, err := r.dial(3 * time.Second); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("new connection: %v, expected refused", err)
	}
}

// TestBad: TCP gets through a link that delays, loses, doubles and reorders, and notices.
func TestBad(t *testing.T) {
	r := newRig(t)
	c := r.connected(t)
	r.net.Both(r.a, r.b, Rule{Delay: 50 * time.Millisecond})
	if d, err := round(c, 10, 5*time.Second); err != nil || d < 100*time.Millisecond {
		t.Errorf("with 50 ms each way it took %v, %v", d, err)
	}
	r.net.Both(r.a, r.b, Rule{Jitter: 5 * time.Millisecond, Loss: 0.02, Double: 0.2, Reorder: 0.2})
	if _, err := round(c, 100_000, 30*time.Second); err != nil {
		t.Error(err)
	}
	if s := r.net.Stats(); s.Doubled == 0 || s.Reordered == 0 || s.Delayed == 0 {
		t.Errorf("%+v", s)
	}
	r.net.Both(r.a, r.b, Rule{Bits: 80_000})
	if d, err := round(c, 2000, 20*time.Second); err != nil || d < 300*time.Millisecond {
		t.Errorf("2000 bytes there and back at 80 kbit/s took %v, %v", d, err)
	}
}

// TestStart: a process is in the namespace, and the node's end is its own.
func TestStart(t *testing.T) {
	testkit.RequireRoot(t)
	n := New(1)
	a := attach(t, n, "a", 1)
	cmd := exec.Command("sleep", "1000")
	must(t, a.Start(cmd))
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	must(t, n.Close())
	err := testkit.Recv(t, 5*time.Second, "the end of the process", done)
	if fmt.Sprint(err) != "signal: killed" {
		t.Error(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
