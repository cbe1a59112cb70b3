package etcd

import (
	"context"
	"errors"
	"sync"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// login holds the token that user and password were exchanged for. The client library would ask for a
// new one with each stream, which costs the server a password hash and a log entry each time, and could
// not be opened while the service is away.
type login struct {
	user, password string
	asking         chan struct{} // holds one value while somebody asks

	mu    sync.Mutex
	token string
	asked bool
}

func newLogin(user, password string) *login {
	return &login{user: user, password: password, asking: make(chan struct{}, 1)}
}

// GetRequestMetadata is gRPC's way to ask for credentials.
func (l *login) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	token, _ := l.current()
	if token == "" || ctx.Value(bare{}) != nil {
		return nil, nil
	}
	return map[string]string{rpctypes.TokenFieldNameGRPC: token}, nil
}

// bare marks the context of a request without token: etcd refuses even to authenticate who shows an old one.
type bare struct{}

// RequireTransportSecurity leaves that choice to whoever set up the service, as etcd's own client does.
func (l *login) RequireTransportSecurity() bool { return false }

func (l *login) current() (token string, asked bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.token, l.asked
}

// ensure asks for a token if none was ever asked for.
func (l *login) ensure(ctx context.Context, c *clientv3.Client) error {
	if _, asked := l.current(); asked || l.user == "" {
		return nil
	}
	return l.renew(ctx, c, "")
}

// renew replaces a token that was refused, unless somebody else has done so since.
func (l *login) renew(ctx context.Context, c *clientv3.Client, refused string) error {
	select {
	case l.asking <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-l.asking }()
	if token, asked := l.current(); asked && token != refused {
		return nil
	}
	resp, err := c.Authenticate(context.WithValue(ctx, bare{}, true), l.user, l.password)
	token := ""
	switch {
	case err == nil:
		token = resp.Token
	case !errors.Is(err, rpctypes.ErrAuthNotEnabled): // not switched on: needs no token
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.token, l.asked = token, true
	return nil
}
