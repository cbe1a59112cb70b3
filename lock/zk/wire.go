package zk

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Bounds of one reply: its header, and more than a server sends with default settings.
const (
	frameMin = 16
	frameMax = 1 << 20
)

var errCut = errors.New("connection cut")

// A wire is one connection as the library sees it, after our own handshake. It bounds each read and
// each write, so that a hung server costs less than a third of the session; it checks the length of
// each reply, which the library would trust; and it never fails a write: the library may block for ever
// when a write fails while it also loses the connection. A write that failed closes the wire instead,
// and the reading side reports it.
type wire struct {
	net.Conn
	patience time.Duration
	mayWrite func() error     // W4: an error here cuts the wire
	saw      func(zxid int64) // of each reply

	pending []byte // not yet handed to the library; its first reply is the handshake's
	frame   []byte
	greeted bool // the library's own handshake request was swallowed

	once   sync.Once
	cause  error
	closed chan struct{}
}

func newWire(conn net.Conn, h hello, mayWrite func() error, saw func(int64)) *wire {
	return &wire{Conn: conn, patience: patience(h.granted), mayWrite: mayWrite, saw: saw,
		pending: h.answer(libraryTimeout(h.granted)), closed: make(chan struct{})}
}

// libraryTimeout is what the library is told that the session timeout is. It pings each third of it and
// gives up reading after two thirds: with the true timeout one hung server would cost two thirds of it.
func libraryTimeout(granted time.Duration) time.Duration { return granted / 3 }

// patience is how long one read or write may take: two missing answers to pings.
func patience(granted time.Duration) time.Duration { return granted * 2 / 9 }

// Read hands out whole replies that were checked.
func (w *wire) Read(p []byte) (int, error) {
	if len(w.pending) == 0 {
		if err := w.readFrame(); err != nil {
			w.cut(err)
			return 0, err
		}
	}
	n := copy(p, w.pending)
	w.pending = w.pending[n:]
	return n, nil
}

func (w *wire) readFrame() error {
	if err := w.Conn.SetReadDeadline(time.Now().Add(w.patience)); err != nil {
		return err
	}
	head := [4]byte{}
	if _, err := io.ReadFull(w.Conn, head[:]); err != nil {
		return err
	}
	n := int64(binary.BigEndian.Uint32(head[:]))
	if n < frameMin || n > frameMax {
		return fmt.Errorf("reply of %d bytes: expected %d to %d", n, frameMin, frameMax)
	}
	if int64(cap(w.frame)) < 4+n {
		w.frame = make([]byte, 4+n)
	}
	w.frame = w.frame[:4+n]
	copy(w.frame, head[:])
	if _, err := io.ReadFull(w.Conn, w.frame[4:]); err != nil {
		return err
	}
	w.saw(int64(binary.BigEndian.Uint64(w.frame[8:])))
	w.pending = w.frame
	return nil
}

// Write sends one request, unless the wire is cut. It always reports success; see wire.
func (w *wire) Write(p []byte) (int, error) {
	if !w.greeted {
		w.greeted = true
		return len(p), nil
	}
	if err := w.send(p); err != nil {
		w.cut(err)
	}
	return len(p), nil
}

func (w *wire) send(p []byte) error {
	select {
	case <-w.closed:
		return nil
	default:
	}
	if err := w.mayWrite(); err != nil {
		return err
	}
	if err := w.Conn.SetWriteDeadline(time.Now().Add(w.patience)); err != nil {
		return err
	}
	_, err := w.Conn.Write(p)
	return err
}

// cut closes the connection; nothing is sent after it. Only the first cause is kept.
func (w *wire) cut(cause error) {
	w.once.Do(func() {
		w.cause = cause
		close(w.closed)
		hangUp(w.Conn)
	})
}

// hangUp closes the socket itself: closing TLS politely may wait for a server that hangs. There is
// nothing to learn from closing a connection that is given up.
func hangUp(c net.Conn) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	_ = c.Close()
}

// Close is the library's way to end the connection.
func (w *wire) Close() error {
	w.cut(errCut)
	return nil
}

// The library's own deadlines are longer than what a session can bear.

func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }
