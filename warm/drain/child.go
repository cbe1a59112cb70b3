package drain

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/klauspost/compress/s2"
	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/breakpoint"
	"github.com/interlock-run/interlock/warm/memcached"
)

// Role is argv[0] of the reader's process.
const Role = "interlock-drain"

const (
	beat     = 100 * time.Millisecond // silence of the server after which its reader says that it is alive
	often    = 25 * time.Millisecond  // between reports while the server talks: who follows the list wakes up at each
	spoolFD  = 3
	connFD   = 4
	exitUse  = 64
	exitLone = 75
	readSize = 256 << 10
	block    = 256 << 10 // is compressed at once, and can be read back once it is
)

// request is what the parent writes on stdin; that it closes says that it is gone.
type request struct {
	Server memcached.Server
	Mode   string        // hash or all
	Silent time.Duration // the server may say nothing for so long
}

// message is one line on stdout.
type message struct {
	Begun bool   `json:",omitempty"` // the command is being sent: from now on silence is a stall
	Bytes int64  // read so far
	Done  bool   `json:",omitempty"`
	Kind  string `json:",omitempty"` // of the error, a key of kinds
	Text  string `json:",omitempty"`
}

// Main is the reader's process. It returns the exit code.
func Main() int {
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	var r request
	if err == nil {
		err = json.Unmarshal(line, &r)
	}
	if err == nil {
		err = unix.SetNonblock(1, true)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "interlock: the reader of a cache's keys is started by a dump, not by hand:", err)
		return exitUse
	}
	go func() { // joined by the end of the process
		_, _ = io.Copy(io.Discard, in)
		os.Exit(exitLone) // nobody would kill us if we stalled
	}()
	c := child{request: r}
	c.report(message{Done: true}, c.run())
	return 0
}

type child struct {
	request
	tail  tail
	bytes int64
	last  time.Time // of the last report
}

// run gets in and drains.
func (c *child) run() (err error) {
	raw, err := handed()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	conn, err := memcached.Over(context.Background(), raw, c.Server, memcached.Options{})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	defer conn.Close()
	spool := os.NewFile(spoolFD, "spool")
	// The processor is the server's, too: so the quicker form, though it takes more space than zstd.
	enc := s2.NewWriter(spool, s2.WriterConcurrency(1), s2.WriterBlockSize(block))
	stream := conn.Detach()
	err = c.drain(stream, enc)
	// First of all the server gets rid of us, whether our parent, which has the connection, too, runs or not.
	if err == nil {
		err = stream.Close()
	} else {
		err = errors.Join(err, sever(raw))
		_ = stream.Close() // it has said all that it can
	}
	for _, end := range []error{enc.Close(), spool.Close()} {
		if end != nil {
			err = errors.Join(err, fmt.Errorf("%w: %w", ErrSpool, end))
		}
	}
	return err
}

// handed is the connection that our parent has made.
func handed() (net.Conn, error) {
	file := os.NewFile(connFD, "connection")
	conn, err := net.FileConn(file)
	return conn, errors.Join(err, file.Close())
}

type conn interface {
	io.ReadWriter
	SetDeadline(time.Time) error
}

// drain sends the command and reads until the server has said all. It waits for nothing but the server.
func (c *child) drain(from conn, to io.Writer) error {
	c.report(message{Begun: true}, nil)
	if err := from.SetDeadline(time.Now().Add(c.Silent)); err != nil {
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	if _, err := from.Write([]byte("lru_crawler metadump " + c.Mode + "\r\n")); err != nil {
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	buf, heard := make([]byte, readSize), time.Now()
	for {
		if err := from.SetDeadline(time.Now().Add(beat)); err != nil {
			return fmt.Errorf("%w: %w", ErrLost, err)
		}
		n, err := from.Read(buf)
		if n > 0 {
			heard = time.Now()
			breakpoint.At("drain:read")
			if end, err := c.take(buf[:n], to); end || err != nil {
				return err
			}
		}
		if err := c.judge(err, time.Since(heard)); err != nil {
			return err
		}
		c.alive()
	}
}

// judge tells a server that is slow from one that is gone.
func (c *child) judge(err error, silent time.Duration) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded) && silent < c.Silent:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: nothing for %v after %d bytes", ErrTorn, c.Silent, c.bytes)
	}
	return fmt.Errorf("%w: no end after %d bytes: %w", ErrTorn, c.bytes, err)
}

// take stores what was read and tells whether the list is at its end.
func (c *child) take(p []byte, to io.Writer) (end bool, err error) {
	c.bytes += int64(len(p))
	if _, err := to.Write(p); err != nil {
		return true, fmt.Errorf("%w: %w", ErrSpool, err)
	}
	line, whole := c.tail.add(p)
	if !whole {
		return false, nil
	}
	if c.bytes == int64(len("OK\r\n")) && line == "OK" {
		return false, nil // 1.6.43 and later begin with it
	}
	return true, verdict(line)
}

// alive reports, not at every read.
func (c *child) alive() {
	if now := time.Now(); now.Sub(c.last) >= often {
		c.last = now
		c.report(message{}, nil)
	}
}

// report writes one line. A parent that does not read must not keep us from reading: the line is dropped.
func (c *child) report(m message, err error) {
	m.Bytes = c.bytes
	if err != nil {
		m.Text = err.Error()
		for kind, e := range kinds() {
			if errors.Is(err, e) {
				m.Kind = kind
			}
		}
	}
	line, _ := json.Marshal(m) // plain values
	for range 1000 {
		if _, err := unix.Write(1, append(line, '\n')); err != unix.EAGAIN && err != unix.EINTR || !m.Done {
			return
		}
		waitWritable(1) // only at the end, when nobody waits for us
	}
}

func waitWritable(fd int32) {
	// What ends it early or not at all shows at the next write.
	_, _ = unix.Poll([]unix.PollFd{{Fd: fd, Events: unix.POLLOUT}}, int(beat/time.Millisecond))
}
