package memcached

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// Options of a connection. Zero values are good.
type Options struct {
	Timeout  time.Duration // of each read and write; 0: 5 s
	MaxValue int           // bytes of a value that is read; 0: 32 MiB
	Buffer   int           // bytes each way; 0: 64 KiB
}

func (o Options) filled() Options {
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.MaxValue <= 0 {
		o.MaxValue = 32 << 20
	}
	if o.Buffer <= 0 {
		o.Buffer = 64 << 10
	}
	return o
}

// Dial connects, authenticates and asks for the version. The end of ctx closes the connection.
func Dial(ctx context.Context, s Server, o Options) (*Conn, error) {
	raw, err := Connect(ctx, s, o.filled().Timeout)
	if err != nil {
		return nil, err
	}
	return Over(ctx, raw, s, o)
}

// Over is Dial over a connection that Connect, or another process, has made. It closes that when it fails.
func Over(ctx context.Context, raw net.Conn, s Server, o Options) (*Conn, error) {
	o = o.filled()
	raw, err := secured(ctx, raw, s, o.Timeout)
	if err != nil {
		return nil, err
	}
	timed := &timedConn{raw, o.Timeout}
	c := &Conn{server: s, max: o.MaxValue, conn: raw,
		r: bufio.NewReaderSize(timed, o.Buffer), w: bufio.NewWriterSize(timed, o.Buffer)}
	c.detach = context.AfterFunc(ctx, func() { _ = raw.Close() })
	if err := c.greet(); err != nil {
		c.Close()
		return nil, explain(ctx, s, o, err)
	}
	return c, nil
}

// Connect makes the bare connection: nothing is said yet, not even TLS.
func Connect(ctx context.Context, s Server, timeout time.Duration) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: timeout}).DialContext(ctx, s.Network, s.Address)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to memcached %s: %w: %w", s, ErrLost, err)
	}
	return conn, nil
}

// secured has TLS where the server has it.
func secured(ctx context.Context, raw net.Conn, s Server, timeout time.Duration) (net.Conn, error) {
	if s.TLS == nil {
		return raw, nil
	}
	config, err := s.config()
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	secure := tls.Client(raw, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("no TLS with memcached %s: %w: %w", s, untrusted(err), err), raw.Close())
	}
	return tailed{secure}, nil
}

// untrusted tells a handshake that will never be from one that was lost.
func untrusted(err error) error {
	_, refused := errors.AsType[*tls.CertificateVerificationError](err)
	_, plain := errors.AsType[tls.RecordHeaderError](err)
	_, told := errors.AsType[tls.AlertError](err)
	if refused || plain || told {
		return ErrTLS
	}
	return ErrLost
}

// open makes a connection, with TLS where the server has it, and nothing said yet.
func open(ctx context.Context, s Server, timeout time.Duration) (net.Conn, error) {
	raw, err := Connect(ctx, s, timeout)
	if err != nil {
		return nil, err
	}
	return secured(ctx, raw, s, timeout)
}

// greet ends with a version, or says why not.
func (c *Conn) greet() error {
	if c.server.User != "" {
		if err := c.authenticate(); err != nil {
			return err
		}
	}
	line, err := c.ask("version\r\n")
	if err != nil {
		return err
	}
	c.version, err = parseVersion(line)
	return err
}

func (c *Conn) authenticate() error {
	text, err := c.server.credentials()
	if err != nil {
		return err
	}
	line, err := c.ask(text)
	if err == nil && line != "STORED" {
		err = fmt.Errorf("%w: %q", ErrProtocol, line)
	}
	return err
}

// explain finds out why a server does not answer: one that takes only the binary form waits for more bytes, or
// closes. Any other one answers the binary form too, so silence to a second question in text belongs to it.
func explain(ctx context.Context, s Server, o Options, err error) error {
	err = fmt.Errorf("memcached %s: %w", s, err)
	if !errors.Is(err, ErrLost) || ctx.Err() != nil || !speaksBinary(ctx, s, o) {
		return err
	}
	raw, openErr := open(ctx, s, o.Timeout)
	if openErr != nil {
		return err
	}
	defer raw.Close()
	timed := &timedConn{raw, o.Timeout}
	if _, sent := timed.Write([]byte("version\r\n")); sent != nil {
		return err
	}
	if n, _ := timed.Read(make([]byte, 1)); n > 0 || ctx.Err() != nil {
		return err // it speaks text: only that connection was lost
	}
	return fmt.Errorf("memcached %s: %w (SASL, -S, or -B binary): its items cannot be listed; expected a server with the text protocol",
		s, ErrBinaryOnly)
}

// speaksBinary asks for nothing in the binary form.
func speaksBinary(ctx context.Context, s Server, o Options) bool {
	raw, err := open(ctx, s, o.Timeout)
	if err != nil {
		return false
	}
	defer raw.Close()
	timed := &timedConn{raw, o.Timeout}
	head := make([]byte, 24)
	if _, err := timed.Write(append([]byte{0x80, 0x0a}, make([]byte, 22)...)); err != nil {
		return false
	}
	_, err = io.ReadFull(timed, head)
	return err == nil && head[0] == 0x81
}

// timedConn gives each read and write that reaches the kernel a deadline of its own.
type timedConn struct {
	net.Conn
	timeout time.Duration
}

func (t *timedConn) Read(p []byte) (int, error) {
	if err := t.SetReadDeadline(time.Now().Add(t.timeout)); err != nil {
		return 0, lost(err)
	}
	n, err := t.Conn.Read(p)
	return n, lost(err)
}

func (t *timedConn) Write(p []byte) (int, error) {
	if err := t.SetWriteDeadline(time.Now().Add(t.timeout)); err != nil {
		return 0, lost(err)
	}
	n, err := t.Conn.Write(p)
	return n, lost(err)
}

// lost says of every error of a connection that it is over.
func lost(err error) error {
	switch {
	case err == nil, errors.Is(err, ErrLost):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: no answer in time", ErrLost)
	}
	return fmt.Errorf("%w: %w", ErrLost, err)
}
