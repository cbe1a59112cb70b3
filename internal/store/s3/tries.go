package s3

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

// How often a request is tried, and how long is waited before a new try: a random part of a time that
// doubles, so that many who were refused at once do not come back at once.
const (
	maxTries   = 8
	firstWait  = 100 * time.Millisecond
	longest    = 5 * time.Second
	leastMoved = 64 << 10 // bytes within Stall, or the request ends
)

// An attempt is one request: a context that ends when nothing moves.
type attempt struct {
	ctx   context.Context
	stop  context.CancelCauseFunc
	timer *time.Timer
	limit time.Duration
	sent  atomic.Bool

	mu    sync.Mutex
	moved int
}

func (s *S3) attempt(ctx context.Context) *attempt {
	a := &attempt{limit: s.opts.Stall}
	a.ctx, a.stop = context.WithCancelCause(ctx)
	a.ctx = httptrace.WithClientTrace(a.ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { a.sent.Store(true) }})
	a.timer = time.AfterFunc(a.limit, func() { a.stop(errStalled) })
	return a
}

// progress puts the end off once enough has moved; all of it tells that this was the last part.
func (a *attempt) progress(n int, all bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.moved += n; a.moved >= leastMoved || all {
		a.moved = 0
		a.timer.Reset(a.limit)
	}
}

// end frees the attempt, and tells why it ended if it was we who ended it.
func (a *attempt) end(err error) error {
	a.timer.Stop()
	if err != nil && errors.Is(context.Cause(a.ctx), errStalled) {
		err = errStalled
	}
	a.stop(nil)
	return err
}

// one makes one request.
func (s *S3) one(ctx context.Context, request func(*attempt) error) *fault {
	if ctx.Err() != nil {
		return s.verdict(ctx, false, ctx.Err())
	}
	a := s.attempt(ctx)
	err := request(a)
	if err = a.end(err); err != nil {
		return s.verdict(ctx, a.sent.Load(), err)
	}
	return nil
}

// tries makes requests until one is answered for good, or patience ends.
func (s *S3) tries(ctx context.Context, once func() *fault) *fault {
	begun := time.Now()
	for n := 0; ; n++ {
		f := once()
		if f == nil || !f.again || n+1 >= maxTries || time.Since(begun) > s.opts.Patience {
			return f
		}
		if !pause(ctx, min(longest, firstWait<<n)) {
			return s.verdict(ctx, f.maybe, ctx.Err())
		}
	}
}

func pause(ctx context.Context, most time.Duration) bool {
	timer := time.NewTimer(most/2 + rand.N(most/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// An upload is the body of one attempt. The transport may still read it when the answer is there already:
// after revoke it gets nothing more.
type upload struct {
	at   *attempt
	left int64

	mu   sync.Mutex
	body io.ReadSeeker // nil once revoked
}

var errRevoked = errors.New("the request has ended")

func (u *upload) Read(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.body == nil {
		return 0, errRevoked
	}
	n, err := u.body.Read(p)
	u.left -= int64(n)
	u.at.progress(n, u.left <= 0)
	return n, err
}

func (u *upload) revoke() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.body = nil
}
