package zk

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"time"

	"github.com/interlock-run/interlock/lock"
)

// dial connects to one server, TLS handshake included; ctx bounds it.
func dial(ctx context.Context, t target, files lock.TLSFiles) (net.Conn, error) {
	if t.err != nil {
		return nil, t.err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", t.addr)
	if err != nil || !files.Enabled() {
		return conn, err
	}
	// The files are read at each connect, so that certificates can be renewed under a running holder.
	config, err := loadTLS(files, t.host.name)
	if err != nil {
		hangUp(conn)
		return nil, err
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		hangUp(conn)
		return nil, tlsError(err)
	}
	return secure, nil
}

// loadTLS reads the PEM files. Without a CA file the system's roots count.
func loadTLS(files lock.TLSFiles, server string) (*tls.Config, error) {
	c := &tls.Config{ServerName: server, MinVersion: tls.VersionTLS12}
	if files.CA != "" {
		pem, err := os.ReadFile(files.CA)
		if err != nil {
			return nil, fmt.Errorf("%w: --lock-ca: %w", lock.ErrConfig, err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%w: --lock-ca %s: expected PEM certificates, found none", lock.ErrConfig, files.CA)
		}
	}
	if (files.Cert == "") != (files.Key == "") {
		return nil, fmt.Errorf("%w: --lock-cert and --lock-key: expected both or none", lock.ErrConfig)
	}
	if files.Cert != "" {
		pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
		if err != nil {
			return nil, fmt.Errorf("%w: --lock-cert %s with --lock-key %s: %w", lock.ErrConfig, files.Cert, files.Key, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// tlsError says whose certificate was refused, and by whom.
func tlsError(err error) error {
	var theirs *tls.CertificateVerificationError
	var plain tls.RecordHeaderError
	switch {
	case errors.As(err, &theirs):
		return fmt.Errorf("%w: the server's certificate is not trusted, check --lock-ca and the host name: %w", lock.ErrConfig, err)
	case errors.As(err, &plain):
		return fmt.Errorf("%w: the port does not speak TLS: use the secure client port, or drop --lock-ca, --lock-cert and --lock-key: %w", lock.ErrConfig, err)
	case alerted(err):
		return fmt.Errorf("%w: the server refused our side of TLS, check --lock-cert and --lock-key: %w", lock.ErrCredentials, err)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("closed the connection in the TLS handshake: is this its plain port, or does it want a client certificate (--lock-cert)? %w", err)
	}
	return fmt.Errorf("TLS handshake: %w", err)
}

// alerted tells whether the server ended TLS with an alert, other than one about its own trouble. The
// alert's type is not exported, its kind is a number (RFC 8446 section 6).
func alerted(err error) bool {
	const internalError = 80
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return false
	}
	number := reflect.ValueOf(op.Err)
	return !number.CanUint() || number.Uint() != internalError
}

// helloError explains why a server that accepted a connection gave no session on it.
func helloError(err error, secure bool, waited time.Duration) error {
	var slow net.Error
	suspect := "is this its TLS port, which needs --lock-ca"
	if secure {
		suspect = "does it want another client certificate (--lock-cert)"
	}
	switch {
	case errors.Is(err, errExpired):
		return err
	case alerted(err):
		return tlsError(err)
	case errors.Is(err, errNotZooKeeper):
		return fmt.Errorf("%w: is the port right? %s?", err, suspect)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("closed the connection instead of opening a session: is it without quorum or out of connections? %s? %w", suspect, errRefused)
	case errors.As(err, &slow) && slow.Timeout():
		return fmt.Errorf("accepted the connection but opened no session within %v: does it hang? %s?", waited.Round(time.Millisecond), suspect)
	}
	return fmt.Errorf("opened no session: %w", err)
}
