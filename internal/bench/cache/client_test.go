//go:build bench

package cache

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/interlock-run/interlock/warm/warmtest"
)

// A client is an application's: get, and set what was missing. Where the server is away everything is a miss.
type client struct {
	addr string
	conn net.Conn
	from *bufio.Reader
	next time.Time // before that it does not connect again
}

func (c *client) open() bool {
	if c.conn != nil || time.Now().Before(c.next) {
		return c.conn != nil
	}
	c.next = time.Now().Add(50 * time.Millisecond)
	conn, err := net.DialTimeout("tcp", c.addr, time.Second)
	if err != nil {
		return false
	}
	c.conn, c.from = conn, bufio.NewReader(conn)
	return true
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// get reads a value and throws it away.
func (c *client) get(key []byte) (hit bool) {
	if !c.open() {
		return false
	}
	hit, err := c.ask(key)
	if err != nil {
		c.close()
	}
	return hit
}

func (c *client) ask(key []byte) (hit bool, err error) {
	if _, err = fmt.Fprintf(c.conn, "get %s\r\n", key); err != nil {
		return false, err
	}
	line, err := c.from.ReadSlice('\n')
	if err != nil || !bytes.HasPrefix(line, []byte("VALUE ")) {
		return false, err
	}
	fields := bytes.Fields(line)
	size, err := strconv.Atoi(string(fields[len(fields)-1]))
	if err != nil {
		return false, err
	}
	_, err = io.CopyN(io.Discard, c.from, int64(size+len("\r\nEND\r\n")))
	return err == nil, err
}

func (c *client) set(it *warmtest.Item) {
	if !c.open() {
		return
	}
	if _, err := fmt.Fprintf(c.conn, "set %s %d %d %d noreply\r\n%s\r\n", it.Key, it.Flags, it.TTL, len(it.Value), it.Value); err != nil {
		c.close()
	}
}
