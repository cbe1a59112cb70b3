package zk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// A hello is what the server says about a session when a connection is opened: the pinned session's
// number, its password and the timeout that was granted.
type hello struct {
	id      int64
	passwd  [16]byte
	granted time.Duration
}

// Sizes of the handshake: protocol version, [zxid,] timeout, session, length and bytes of the password,
// and in newer servers the read-only flag.
const (
	helloMin = 4 + 4 + 8 + 4 + 16
	helloMax = helloMin + 1
)

var errNotZooKeeper = errors.New("does not speak ZooKeeper")

// ask encodes the request that opens a session (no id yet) or attaches to it. zxid is the last change
// that we saw: a server that lags behind it must refuse us.
func (h hello) ask(timeout time.Duration, zxid int64) []byte {
	b := make([]byte, 4, 64)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(zxid))
	b = binary.BigEndian.AppendUint32(b, uint32(timeout.Milliseconds()))
	b = binary.BigEndian.AppendUint64(b, uint64(h.id))
	b = binary.BigEndian.AppendUint32(b, uint32(len(h.passwd)))
	b = append(append(b, h.passwd[:]...), 0)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// answer encodes a server's reply with another timeout, for the library, which derives the pace of its
// pings and the patience of its reads from it.
func (h hello) answer(timeout time.Duration) []byte {
	b := binary.BigEndian.AppendUint32(nil, helloMin)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(timeout.Milliseconds()))
	b = binary.BigEndian.AppendUint64(b, uint64(h.id))
	b = binary.BigEndian.AppendUint32(b, uint32(len(h.passwd)))
	return append(b, h.passwd[:]...)
}

// readHello reads a server's reply and refuses what cannot be one.
func readHello(r io.Reader) (hello, error) {
	var b [4 + helloMax]byte
	if _, err := io.ReadFull(r, b[:4]); err != nil {
		return hello{}, err
	}
	n := binary.BigEndian.Uint32(b[:])
	if n < helloMin || n > helloMax {
		return hello{}, fmt.Errorf("%w: its answer begins % x", errNotZooKeeper, b[:4])
	}
	if _, err := io.ReadFull(r, b[4:4+n]); err != nil {
		return hello{}, err
	}
	body := b[4:]
	h := hello{id: int64(binary.BigEndian.Uint64(body[8:])),
		granted: time.Duration(binary.BigEndian.Uint32(body[4:])) * time.Millisecond}
	if binary.BigEndian.Uint32(body[16:]) != uint32(len(h.passwd)) {
		return hello{}, fmt.Errorf("%w: its session password has %d bytes", errNotZooKeeper, binary.BigEndian.Uint32(body[16:]))
	}
	copy(h.passwd[:], body[20:])
	return h, nil
}

// attach opens a session on a fresh connection, or attaches the one that old names. It fails with
// errExpired when the server does not know that session any more.
func attach(conn net.Conn, old hello, timeout time.Duration, zxid int64) (hello, error) {
	if _, err := conn.Write(old.ask(timeout, zxid)); err != nil {
		return hello{}, err
	}
	h, err := readHello(conn)
	switch {
	case err != nil:
		return hello{}, err
	case h.id == 0 && old.id != 0:
		return hello{}, errExpired
	case h.id == 0 || h.granted <= 0:
		return hello{}, fmt.Errorf("%w: it opened session %#x with a timeout of %v", errNotZooKeeper, h.id, h.granted)
	case old.id != 0 && h.id != old.id:
		return hello{}, fmt.Errorf("%w: asked for session %#x it gave %#x", errNotZooKeeper, old.id, h.id)
	}
	return h, nil
}
