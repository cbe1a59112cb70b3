package memcached

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// A Conn is one connection. Send queues commands, Flush sends them, and Read takes one reply of each that
// has one, in order. One goroutine uses it; after an error that is not a Refusal it is of no use.
type Conn struct {
	server  Server
	version Version
	max     int
	conn    net.Conn
	r       *bufio.Reader
	w       *bufio.Writer
	line    []byte // scratch
	large   []byte // a value that is longer than the buffer of r
	detach  func() bool
}

// Close ends the connection.
func (c *Conn) Close() {
	c.detach()
	_ = c.conn.Close() // nothing of worth is in flight: every caller has read its replies, or gives up
}

// Version is what the server said when it was greeted.
func (c *Conn) Version() Version { return c.version }

// Server is whom it talks to.
func (c *Conn) Server() Server { return c.server }

// SendGet queues a read that leaves no trace in the item's hotness. The reply has value, flags, remaining
// life and cas; Absent for a miss.
func (c *Conn) SendGet(key []byte) error { return c.sendKey("mg ", key, " u f t c v") }

// SendTouch queues a hit that brings no value: its only effect is that the item counts as used. Of a stale item it
// takes the recache token, as every hit does: the reply has the cas to give it back.
func (c *Conn) SendTouch(key []byte) error { return c.sendKey("mg ", key, " c") }

// SendGiveBack marks a stale item as stale once more if it is still the one with this cas, so that the next
// client is told to refill it.
func (c *Conn) SendGiveBack(key []byte, cas uint64) error {
	return c.sendKey("md ", key, " I C"+strconv.FormatUint(cas, 10))
}

// sendKey queues a command of one line.
func (c *Conn) sendKey(verb string, key []byte, flags string) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	line, base64 := appendKey(append(c.line[:0], verb...), key)
	c.line = append(append(append(line, base64...), flags...), "\r\n"...)
	return c.write(c.line)
}

// loudFrom is the size of a value from which its store is answered: asked to be quiet, 1.6.18 is so also when
// it drops an item of several chunks for lack of memory.
const loudFrom = 64 << 10

// SendAdd queues a store that never replaces an item. There is a reply where it was not stored, Exists or a
// refusal, and Done for a large value. None says of which key: SendNoop bounds a window.
func (c *Conn) SendAdd(key, value []byte, flags uint32, e Expiry) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	line, base64 := appendKey(append(c.line[:0], "ms "...), key)
	line = strconv.AppendInt(append(line, ' '), int64(len(value)), 10)
	quiet := " q"
	if len(value) >= loudFrom {
		quiet = ""
	}
	line = append(append(append(line, base64...), quiet...), " ME F"...)
	line = strconv.AppendUint(line, uint64(flags), 10)
	line = strconv.AppendInt(append(line, " T"...), e.wire, 10)
	c.line = append(line, "\r\n"...)
	if err := c.write(c.line); err != nil {
		return err
	}
	if err := c.write(value); err != nil {
		return err
	}
	return c.write([]byte("\r\n"))
}

// SendNoop queues a command whose reply, End, comes after those of all before it.
func (c *Conn) SendNoop() error { return c.write([]byte("mn\r\n")) }

// Flush sends what is queued.
func (c *Conn) Flush() error { return c.fail(c.w.Flush()) }

func (c *Conn) write(p []byte) error {
	_, err := c.w.Write(p)
	return c.fail(err)
}

func (c *Conn) fail(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("memcached %s: %w", c.server, err)
}

// ask sends one command and reads the one line of its answer; a refusal is an error.
func (c *Conn) ask(command string) (string, error) {
	if _, err := c.w.WriteString(command); err != nil {
		return "", err
	}
	if err := c.w.Flush(); err != nil {
		return "", err
	}
	raw, err := c.readLine()
	if err != nil {
		return "", err
	}
	line := string(raw)
	if r := refusal(line); r != nil {
		return "", r
	}
	return line, nil
}

// readLine gives a line without its end, valid until the next read.
func (c *Conn) readLine() ([]byte, error) {
	raw, err := c.r.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		return nil, fmt.Errorf("%w: a line of over %d bytes", ErrProtocol, len(raw))
	}
	if err != nil {
		return nil, lost(err)
	}
	return bytes.TrimRight(raw, "\r\n"), nil
}

// Ping is a round trip that touches no item.
func (c *Conn) Ping() error {
	line, err := c.ask("mn\r\n")
	if err == nil && strings.TrimSpace(line) != "MN" {
		err = fmt.Errorf("%w: %q to mn", ErrProtocol, line)
	}
	return c.fail(err)
}

// Detach gives the bare connection away, for a reader of its own; the Conn is of no use afterwards. Nothing
// may be under way.
func (c *Conn) Detach() net.Conn {
	c.detach()
	return c.conn
}
