package zk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
)

// wired is a wire and the far end of its connection.
func wired(t *testing.T, granted time.Duration, mayWrite func() error) (*wire, net.Conn) {
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	w := newWire(near, hello{id: 7, granted: granted}, mayWrite, func(int64) {})
	w.pending, w.greeted = nil, true
	return w, far
}

func allow() error { return nil }

// Lengths that the library would trust end the connection.
func TestWireRefusesFrames(t *testing.T) {
	for _, n := range []uint32{0, 15, frameMax + 1, 0xffffffff, 0x15030300 /* a TLS alert */} {
		w, far := wired(t, time.Minute, allow)
		go far.Write(binary.BigEndian.AppendUint32(nil, n))
		if _, err := w.Read(make([]byte, 4)); err == nil {
			t.Errorf("a reply of %d bytes is accepted", n)
		}
		<-w.closed
	}
}

// A write never fails towards the library; it ends the wire, and the reader learns of it.
func TestWireWriteNeverFails(t *testing.T) {
	stop := errors.New("no pulse")
	for name, prepare := range map[string]func(*wire, net.Conn){
		"peer gone":   func(_ *wire, far net.Conn) { far.Close() },
		"not allowed": func(w *wire, _ net.Conn) { w.mayWrite = func() error { return stop } },
		"peer hangs":  func(*wire, net.Conn) {},
	} {
		t.Run(name, func(t *testing.T) {
			w, far := wired(t, 450*time.Millisecond, allow)
			prepare(w, far)
			if n, err := w.Write(make([]byte, 20)); n != 20 || err != nil {
				t.Errorf("Write gave %d, %v", n, err)
			}
			testkit.Recv(t, patient, "the end of the wire", closing(w))
			if _, err := w.Read(make([]byte, 4)); err == nil {
				t.Error("Read works on a wire that was cut")
			}
			if n, err := w.Write(make([]byte, 20)); n != 20 || err != nil {
				t.Errorf("second Write gave %d, %v", n, err)
			}
		})
	}
}

func closing(w *wire) <-chan error {
	c := make(chan error, 1)
	go func() { <-w.closed; c <- w.cause }()
	return c
}

// A server that says nothing is given up after two ninths of the session, whatever the library asks for.
func TestWirePatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := wired(t, 900*time.Millisecond, allow)
		must(t, w.SetReadDeadline(time.Now().Add(time.Hour)))
		must(t, w.SetDeadline(time.Time{}))
		start := time.Now()
		_, err := w.Read(make([]byte, 4))
		if took := time.Since(start); err == nil || took != 200*time.Millisecond {
			t.Errorf("Read ended after %v with %v, expected 200ms and a timeout", took, err)
		}
	})
}

func TestReadHello(t *testing.T) {
	good := hello{id: 1<<60 + 5, granted: 20 * time.Second, passwd: [16]byte{1, 2, 3}}
	frame := good.answer(good.granted)
	got, err := readHello(bytes.NewReader(frame))
	if err != nil || got != good {
		t.Errorf("read %+v (%v), expected %+v", got, err, good)
	}
	for n := range frame {
		if _, err := readHello(bytes.NewReader(frame[:n])); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes of an answer gave %v", n, err)
		}
	}
	for at, b := range map[int]byte{0: 1, 3: 12, 20: 9} {
		bad := bytes.Clone(frame)
		bad[at] = b
		if _, err := readHello(bytes.NewReader(bad)); !errors.Is(err, errNotZooKeeper) {
			t.Errorf("byte %d = %d gave %v, expected that it is not ZooKeeper", at, b, err)
		}
	}
}

// An answer for another session than the pinned one is never taken.
func TestAttachPins(t *testing.T) {
	for _, c := range []struct {
		asked, given int64
		want         error
	}{{0, 5, nil}, {5, 5, nil}, {5, 0, errExpired}, {5, 6, errNotZooKeeper}, {0, 0, errNotZooKeeper}} {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			if _, err := readRaw(far); err == nil {
				_, _ = far.Write(hello{id: c.given}.answer(time.Second))
			}
		}()
		h, err := attach(near, hello{id: c.asked}, time.Second, 0)
		if !errors.Is(err, c.want) || err == nil && h.id != c.given {
			t.Errorf("asked for %d, given %d: %+v, %v; expected %v", c.asked, c.given, h, err, c.want)
		}
		near.Close()
	}
}
