package etcd

import (
	"context"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"

	"github.com/interlock-run/interlock/lock"
)

// An endpoint is one server as given, with a client of its own. One client for all would spread calls
// over the servers round robin: a hung one would then swallow every n-th heartbeat, and gRPC would not
// say which it was.
type endpoint struct {
	addr   string
	client *clientv3.Client
	link   *link
}

func newEndpoint(addr string, bound time.Duration, creds credentials.TransportCredentials, login *login) (*endpoint, error) {
	l := newLink(bound)
	c, err := clientv3.New(clientv3.Config{
		Endpoints: []string{addr},
		// One attempt each: the interceptor's 100 would repeat what a stamp was taken for (W2).
		MaxUnaryRetries:   1,
		DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: bound,
		// No pings without streams: etcd's default is to end such connections.
		PermitWithoutStream: false,
		Logger:              zap.NewNop(),
		DialOptions: []grpc.DialOption{
			grpc.WithContextDialer(l.dial),
			grpc.WithTransportCredentials(tellingCreds{creds, l}),
			grpc.WithPerRPCCredentials(login),
			grpc.WithConnectParams(connectParams(bound)),
			grpc.WithIdleTimeout(0),
			grpc.WithDisableRetry(),
			grpc.WithChainUnaryInterceptor(failFast),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: etcd server %s: %w", lock.ErrConfig, addr, err)
	}
	return &endpoint{addr: addr, client: c, link: l}, nil
}

func connectParams(bound time.Duration) grpc.ConnectParams {
	return grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
		MinConnectTimeout: bound,
	}
}

// failFast undoes the client's wait for a connection: we send only on one that is ready, and a request
// that waits while its connection is made anew would be sent we do not know when.
func failFast(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return invoke(ctx, method, req, reply, cc, append(opts, grpc.WaitForReady(false))...)
}

func (e *endpoint) conn() *grpc.ClientConn { return e.client.ActiveConnection() }

func (e *endpoint) ready() bool {
	return e.link.usable() && e.conn().GetState() == connectivity.Ready
}

// refused tells that the last try to connect failed and the next one is not due yet.
func (e *endpoint) refused() bool { return e.conn().GetState() == connectivity.TransientFailure }

// follow calls changed after each change of the connection's state, until ctx ends.
func (e *endpoint) follow(ctx context.Context, changed func()) {
	for {
		s := e.conn().GetState()
		if s == connectivity.Ready {
			e.link.up()
		}
		changed()
		if !e.conn().WaitForStateChange(ctx, s) {
			return
		}
	}
}
