package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/interlock-run/interlock/lock"
)

// transport reads the TLS files, so that a wrong one is named at the start. The client's pair is read
// again for each connection, because certificates are renewed while a holder runs.
func transport(f lock.TLSFiles) (credentials.TransportCredentials, error) {
	if !f.Enabled() {
		return insecure.NewCredentials(), nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.CA != "" {
		pool, err := authorities(f.CA)
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = pool
	}
	if (f.Cert == "") != (f.Key == "") {
		return nil, fmt.Errorf("%w: etcd: a client certificate needs both --lock-cert and --lock-key", lock.ErrConfig)
	}
	if f.Cert == "" {
		return credentials.NewTLS(cfg), nil
	}
	if _, err := pair(f); err != nil {
		return nil, err
	}
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair(f) }
	return credentials.NewTLS(cfg), nil
}

func authorities(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: etcd: cannot read --lock-ca: %w", lock.ErrConfig, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%w: etcd: --lock-ca %s holds no certificate: expected PEM", lock.ErrConfig, path)
	}
	return pool, nil
}

func pair(f lock.TLSFiles) (*tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("%w: etcd: cannot use --lock-cert %s with --lock-key %s: %w", lock.ErrConfig, f.Cert, f.Key, err)
	}
	return &c, nil
}

// tellingCreds tells the link why a handshake failed; gRPC itself shows only a timeout.
type tellingCreds struct {
	credentials.TransportCredentials
	link *link
}

func (c tellingCreds) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		c.link.note(err)
		return conn, info, err
	}
	return tellingConn{conn, c.link}, info, nil
}

func (c tellingCreds) Clone() credentials.TransportCredentials {
	return tellingCreds{c.TransportCredentials.Clone(), c.link}
}

// tellingConn notes why reading ended: with TLS 1.3 a server refuses our certificate only after the
// client believes the handshake to be done.
type tellingConn struct {
	net.Conn
	link *link
}

func (c tellingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		c.link.note(err)
	}
	return n, err
}
