package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"time"
)

// registrar writes (token, n) to the register server until it is closed. A server that cannot be reached
// is tried again: the payload under test has better things to do than to die of it.
type registrar struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func startRegister(o options, t *trace) *registrar {
	r := &registrar{cancel: func() {}, done: make(chan struct{})}
	if o.register == "" || o.role != roleRoot {
		close(r.done)
		return r
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() {
		defer close(r.done)
		n := 0
		for ctx.Err() == nil {
			// A broken connection is the network's fault or the server's end; the next turn dials again.
			_ = writeUntilBroken(ctx, o, t, &n)
			pause(ctx, o.every)
		}
	}()
	return r
}

func (r *registrar) close() {
	r.cancel()
	<-r.done
}

func writeUntilBroken(ctx context.Context, o options, t *trace, n *int) error {
	conn, err := (&net.Dialer{Timeout: 200 * time.Millisecond}).DialContext(ctx, "tcp", o.register)
	if err != nil {
		return err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	for ctx.Err() == nil {
		*n++
		if err := conn.SetDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(conn, "%s %d\n", o.token, *n); err != nil {
			return err
		}
		answer, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		if strings.TrimSpace(answer) != "ok" {
			if err := t.write("rejected"); err != nil {
				return err
			}
		}
		pause(ctx, o.every)
	}
	return ctx.Err()
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
