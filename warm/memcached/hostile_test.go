package memcached_test

import (
	"bufio"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/warm/memcached"
)

// scripted accepts one connection, is greeted, and answers the next line with text.
func scripted(t *testing.T, text string) *memcached.Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		r := bufio.NewReader(c)
		for _, answer := range []string{"VERSION 1.6.18\r\n", text} {
			if _, err := r.ReadString('\n'); err != nil {
				return
			}
			if _, err := c.Write([]byte(answer)); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return dial(t, server(t, l.Addr().String()))
}

// No answer of a server, however wrong, is taken for a value.
func TestOddAnswers(t *testing.T) {
	for _, c := range []struct {
		text string
		want error
	}{
		{"", memcached.ErrLost},
		{"VA", memcached.ErrLost},
		{"VA 5 f0\r\nab", memcached.ErrLost},
		{"VA 2 f0\r\nabc\r\n", memcached.ErrProtocol},
		{"VA -1 f0\r\n\r\n", memcached.ErrProtocol},
		{"VA 99999999999 f0\r\n", memcached.ErrProtocol},
		{"VA 2 f-1\r\nab\r\n", memcached.ErrProtocol},
		{"VA 2 t99999999999999\r\nab\r\n", memcached.ErrProtocol},
		{"VA 2 c18446744073709551616\r\nab\r\n", memcached.ErrProtocol},
		{"HELLO\r\n", memcached.ErrProtocol},
		{"\r\n", memcached.ErrProtocol},
		{strings.Repeat("x", 100_000) + "\r\n", memcached.ErrProtocol},
	} {
		conn := scripted(t, c.text)
		must(t, conn.SendGet([]byte("k")))
		must(t, conn.Flush())
		var r memcached.Reply
		if err := conn.Read(&r); !errors.Is(err, c.want) {
			t.Errorf("%.40q: %v %+v, want %v", c.text, err, r, c.want)
		}
	}
}

func TestParseServer(t *testing.T) {
	for text, want := range map[string]string{"h:1": "h:1", "h": "h:11211", "[::1]": "[::1]:11211", "[::1]:5": "[::1]:5", "/s/x": "/s/x",
		"": "", "h:0": "", "h:x": "", "a b:1": "", ":1": "", "h:70000": ""} {
		s, err := memcached.ParseServer(text)
		if (err != nil) != (want == "") || err == nil && s.String() != want {
			t.Errorf("%q: %q %v, want %q", text, s, err, want)
		}
	}
}
