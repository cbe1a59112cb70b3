package register

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
)

// TestRegister: only the highest token writes, over all connections together.
func TestRegister(t *testing.T) {
	lis, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	var log strings.Builder
	s := New(&log)
	done := make(chan error, 1)
	go func() { done <- s.Serve(lis) }()
	old, young := dial(t, lis), dial(t, lis)
	for _, c := range []struct {
		on         net.Conn
		line, want string
	}{
		{old, "5 1", "ok"},
		{young, "7 1", "ok"},
		{old, "5 2", "no: 7 was seen"},
		{young, "7 2", "ok"},
		{old, "x y", "garbled: expected TOKEN N"},
		{old, "5", "garbled: expected TOKEN N"},
		{young, "6 9", "no: 7 was seen"},
	} {
		if got := ask(t, c.on, c.line); got != c.want {
			t.Errorf("%q: %q, expected %q", c.line, got, c.want)
		}
	}
	must(t, lis.Close())
	must(t, <-done)
	want := Counts{Highest: 7, Value: 2, Accepted: 3, Rejects: 2, Garbled: 2}
	if got := s.Counts(); got != want {
		t.Errorf("%+v, expected %+v", got, want)
	}
	if !strings.Contains(log.String(), "reject 5 2: 7 was seen") {
		t.Errorf("the log is %q", log.String())
	}
}

func dial(t *testing.T, lis net.Listener) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp4", lis.Addr().String())
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func ask(t *testing.T, c net.Conn, line string) string {
	t.Helper()
	_, err := fmt.Fprintln(c, line)
	must(t, err)
	answer, err := bufio.NewReader(c).ReadString('\n')
	must(t, err)
	return strings.TrimSpace(answer)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
