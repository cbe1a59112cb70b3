package testkit

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// echo answers every piece with itself and counts what it got.
func echo(t *testing.T) (addr string, got chan string) {
	lis, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	got = make(chan string, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := lis.Accept()
			if err != nil {
				return
			}
			go serveEcho(c, got)
		}
	}()
	t.Cleanup(func() { must(t, lis.Close()); <-done })
	return lis.Addr().String(), got
}

func serveEcho(c net.Conn, got chan<- string) {
	defer c.Close()
	buf := make([]byte, 1000)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		got <- string(buf[:n])
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}

func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func say(t *testing.T, c net.Conn, word string) {
	t.Helper()
	_, err := io.WriteString(c, word)
	must(t, err)
}

// hear reads exactly want, or nothing at all when want is "".
func hear(t *testing.T, c net.Conn, want string) {
	t.Helper()
	limit := 5 * time.Second
	if want == "" {
		limit = 150 * time.Millisecond
	}
	must(t, c.SetReadDeadline(time.Now().Add(limit)))
	buf := make([]byte, max(len(want), 1))
	n, err := io.ReadFull(c, buf)
	if string(buf[:n]) != want || (want != "") != (err == nil) {
		t.Fatalf("heard %q (%v), want %q", buf[:n], err, want)
	}
	if want == "" && !isTimeout(err) {
		t.Fatalf("connection ended: %v, want silence", err)
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

func ended(t *testing.T, c net.Conn) {
	t.Helper()
	must(t, c.SetReadDeadline(time.Now().Add(5*time.Second)))
	if n, err := c.Read(make([]byte, 10)); err == nil || isTimeout(err) {
		t.Fatalf("read %d, %v; want the end of the connection", n, err)
	}
}

func TestProxyHoldsRepliesThenIsDeaf(t *testing.T) {
	addr, got := echo(t)
	p := NewProxy(t, addr)
	c := dial(t, p)
	p.HoldReplies()
	say(t, c, "one")
	if word := Recv(t, 5*time.Second, "the request", got); word != "one" {
		t.Errorf("the server got %q", word)
	}
	hear(t, c, "")
	p.Deafen()
	hear(t, c, "one")
	say(t, c, "two")
	hear(t, c, "")
	if len(got) != 0 {
		t.Errorf("the server got %q from a deaf proxy", <-got)
	}
}

func TestProxyHangHoldsAndReleases(t *testing.T) {
	addr, got := echo(t)
	p := NewProxy(t, addr)
	c := dial(t, p)
	say(t, c, "one")
	hear(t, c, "one")
	p.Hang()
	say(t, c, "two")
	hear(t, c, "")
	late := dial(t, p)
	say(t, late, "new")
	hear(t, late, "")
	if len(got) != 1 {
		t.Errorf("the server got %d pieces while hanging", len(got)-1)
	}
	p.Pass(t)
	hear(t, c, "two")
	hear(t, late, "new")
}

func TestProxyLosesRepliesNotRequests(t *testing.T) {
	addr, got := echo(t)
	p := NewProxy(t, addr)
	c := dial(t, p)
	p.LoseReplies()
	say(t, c, "one")
	if w := Recv(t, 5*time.Second, "request", got); w != "one" {
		t.Fatal(w)
	}
	hear(t, c, "")
	p.Pass(t)
	say(t, c, "two")
	hear(t, c, "two")
	p.LoseRequests()
	say(t, c, "three")
	hear(t, c, "")
	if tr := p.Traffic(); tr.Lost != 8 || tr.Replies != 3 || tr.Requests != 6 || tr.Conns != 1 {
		t.Errorf("traffic %+v", tr)
	}
}

func TestProxyLosesRepliesAfterBytes(t *testing.T) {
	addr, _ := echo(t)
	p := NewProxy(t, addr)
	c := dial(t, p)
	p.LoseRepliesAfter(4)
	say(t, c, "abcdef")
	hear(t, c, "abcd")
	hear(t, c, "")
}

func TestProxyCutsOneReply(t *testing.T) {
	addr, got := echo(t)
	p := NewProxy(t, addr)
	c := dial(t, p)
	p.CutNextReply()
	say(t, c, "one")
	ended(t, c)
	if w := Recv(t, 5*time.Second, "request", got); w != "one" {
		t.Fatal(w)
	}
	c = dial(t, p)
	say(t, c, "two")
	hear(t, c, "two")
}

func TestProxyDropRefuseRetargetDelay(t *testing.T) {
	addr, _ := echo(t)
	p := NewProxy(t, addr)
	c := dial(t, p)
	say(t, c, "x")
	hear(t, c, "x")
	p.Drop()
	ended(t, c)
	Wait(t, 5*time.Second, func() (bool, string) { return p.Open() == 0, "connections left" })
	p.Refuse()
	if _, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("dial while refusing: %v", err)
	}
	p.Pass(t)
	other, got := echo(t)
	p.Retarget(other)
	p.Delay(100 * time.Millisecond)
	start := time.Now()
	c = dial(t, p)
	say(t, c, "y")
	hear(t, c, "y")
	if took := time.Since(start); took < 200*time.Millisecond {
		t.Errorf("answer after %v, want at least two delays", took)
	}
	if w := Recv(t, 5*time.Second, "request", got); w != "y" {
		t.Error(w)
	}
}
