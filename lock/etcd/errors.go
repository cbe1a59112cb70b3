package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/interlock-run/interlock/lock"
)

// code is the gRPC code of an error in any of the forms in which the client library gives them.
func code(err error) codes.Code {
	var e rpctypes.EtcdError
	if errors.As(rpctypes.Error(err), &e) {
		return e.Code()
	}
	var s interface{ GRPCStatus() *status.Status }
	if errors.As(err, &s) {
		return s.GRPCStatus().Code()
	}
	return status.FromContextError(err).Code()
}

// noSpace tells that the store takes no puts now.
func noSpace(err error) bool { return errors.Is(rpctypes.Error(err), rpctypes.ErrNoSpace) }

// explain makes an error that callers can branch on and people can act on. e is nil if no server was
// reached.
func (d *driver) explain(ctx context.Context, e *endpoint, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	if e == nil {
		return err
	}
	err = rpctypes.Error(err)
	where := "etcd " + e.addr
	switch code(err) {
	case codes.PermissionDenied:
		return fmt.Errorf("%w: %s: %s may not use lock %q: give a role `etcdctl role grant-permission ROLE readwrite --prefix %s` and that role to the user: %w",
			lock.ErrCredentials, where, d.who(), d.name, d.name, err)
	case codes.Unauthenticated:
		// User and password are right, so this may pass: clocks of the servers, or tokens of a second.
		return fmt.Errorf("%w: %s did not accept a fresh token of %s: %w", lock.ErrUnreachable, where, d.who(), err)
	}
	return d.explainKnown(ctx, e, where, err)
}

// explainKnown goes by etcd's own errors, where a code has several meanings.
func (d *driver) explainKnown(ctx context.Context, e *endpoint, where string, err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrAuthFailed), errors.Is(err, rpctypes.ErrUserNotFound):
		return fmt.Errorf("%w: %s refused %s: wrong user or password (lock %q): %w", lock.ErrCredentials, where, d.who(), d.name, err)
	case errors.Is(err, rpctypes.ErrUserEmpty):
		return fmt.Errorf("%w: %s wants a user for lock %q: set --lock-user and --lock-password-file, or a client certificate whose common name is an etcd user: %w",
			lock.ErrCredentials, where, d.name, err)
	case noSpace(err):
		return fmt.Errorf("%w: %s takes no writes, its database is full: compact, defragment, then `etcdctl alarm disarm`: %w", lock.ErrUnreachable, where, err)
	case code(err) == codes.DeadlineExceeded:
		return fmt.Errorf("%w: %s did not answer within %v: %w", lock.ErrUnreachable, where, d.bound, errors.Join(err, ctx.Err()))
	}
	return fmt.Errorf("%w: %s: %w", lock.ErrUnreachable, where, err)
}

// who names us as the server knows us.
func (d *driver) who() string {
	switch {
	case d.s.User != "":
		return fmt.Sprintf("user %q", d.s.User)
	case d.s.TLS.Cert != "":
		return "the user named by the certificate " + d.s.TLS.Cert
	}
	return "a client without user"
}

// downError is why no server could be reached.
type downError struct {
	kind   error
	causes []error
}

func (e *downError) Error() string {
	words := make([]string, len(e.causes))
	for i, c := range e.causes {
		words[i] = c.Error()
	}
	return e.kind.Error() + ": etcd: " + strings.Join(words, "; ")
}

func (e *downError) Unwrap() []error { return append([]error{e.kind}, e.causes...) }

// unreachable says for each server why it is not connected. That one server refuses our certificate is
// reported as refused credentials: no other server answered either.
func (c *conns) unreachable(ctx context.Context) error { return c.down(ctx, c.all...) }

func (c *conns) down(ctx context.Context, which ...*endpoint) error {
	down := &downError{kind: lock.ErrUnreachable}
	for _, e := range which {
		why := e.link.reason()
		if why == nil {
			why = ctx.Err()
		}
		if refusedByPeer(why) {
			down.kind = lock.ErrCredentials
		}
		down.causes = append(down.causes, fmt.Errorf("%s: %w%s", e.addr, why, c.suspect(why)))
	}
	return down
}

// refusedByPeer tells a TLS alert that the other side sent.
func refusedByPeer(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// suspect adds what the error of a TLS mistake does not say.
func (c *conns) suspect(err error) string {
	var unknown x509.UnknownAuthorityError
	var verify *tls.CertificateVerificationError
	var plain tls.RecordHeaderError
	var dial *net.OpError
	switch {
	case refusedByPeer(err):
		return " (the server refused the TLS client certificate: check --lock-cert and --lock-key)"
	case errors.As(err, &unknown):
		return " (is --lock-ca the authority of the server's certificate?)"
	case errors.As(err, &verify):
		return " (does the server's certificate carry this host name, and is it in date?)"
	case errors.As(err, &plain):
		return " (the server does not speak TLS here: leave out --lock-ca, --lock-cert and --lock-key)"
	case errors.As(err, &dial) && dial.Op == "dial":
		return ""
	case errors.Is(err, errSilent):
		return ""
	case !c.tls && (errors.Is(err, io.EOF) || errors.As(err, &dial)):
		return " (the connection was closed at once: does the server want TLS, --lock-ca?)"
	}
	if c.tls {
		return " (is it up, and does it speak TLS here? check --lock-ca, --lock-cert and --lock-key)"
	}
	return " (is it up?)"
}
