package mountcheck

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/interlock-run/interlock/mountcheck/probe"
)

// starter forks all helpers from one thread that lives as long as they: the kernel's parent-death signal
// follows the thread that forked, not the process.
type starter struct {
	requests chan startRequest
	stop     chan struct{}
	once     sync.Once
	ended    chan struct{}
}

type startRequest struct {
	mount     string
	reply     chan started
	abandoned chan struct{} // closed when nobody waits for the reply any more
}

type started struct {
	helper *helper
	err    error
}

func newStarter() *starter {
	s := &starter{requests: make(chan startRequest), stop: make(chan struct{}), ended: make(chan struct{})}
	go s.run()
	return s
}

func (s *starter) run() {
	defer close(s.ended)
	runtime.LockOSThread()
	// Unlocked before the end: a thread that ends locked is destroyed, and its children with it.
	defer runtime.UnlockOSThread()
	for {
		select {
		case r := <-s.requests:
			r.serve()
		case <-s.stop:
			return
		}
	}
}

// serve forks. A helper that came too late is not kept.
func (r startRequest) serve() {
	h, err := startHelper(r.mount)
	select {
	case r.reply <- started{h, err}:
	case <-r.abandoned:
		if err == nil {
			h.kill()
			h.wait(killWait)
		}
	}
}

// close waits for the thread a moment only: a fork can be held by the kernel, see start.
func (s *starter) close() error {
	s.once.Do(func() { close(s.stop) })
	limit := time.NewTimer(closeWait)
	defer limit.Stop()
	select {
	case <-s.ended:
		return nil
	case <-limit.C:
		return errors.New("the start of a probe helper is held by the kernel; it is left to it")
	}
}

// closeWait is more than an abandoned helper is waited for.
const closeWait = 2 * killWait

// start waits no longer than limit. A fork does not return before its child has come to its exec, and a
// child that is stopped just then, or a program file on a hung mount, holds it for as long.
func (s *starter) start(ctx context.Context, mount string, limit time.Duration) (*helper, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not started within %s", limit))
	defer cancel()
	r := startRequest{mount: mount, reply: make(chan started), abandoned: make(chan struct{})}
	select {
	case s.requests <- r:
	case <-s.stop:
		return nil, os.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	select {
	case got := <-r.reply:
		return got.helper, got.err
	case <-ctx.Done():
		close(r.abandoned)
		return nil, context.Cause(ctx)
	}
}

// startHelper takes the helper that was forked ahead, if there is one.
func startHelper(mount string) (*helper, error) {
	h, ok := probe.TakeAhead()
	if !ok {
		var err error
		if h, err = probe.Start(mount); err != nil {
			return nil, err
		}
	}
	return newHelper(mount, h), nil
}

// DropAhead ends the helper that was forked ahead, and waits for that, where no mount was looked at. Call it when no
// look or watch goes on.
func DropAhead() {
	if forked, ok := probe.TakeAhead(); ok {
		h := newHelper("", forked)
		h.kill()
		h.wait(killWait)
	}
}
