package mountcheck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/interlock-run/interlock/mountcheck/probe"
)

// The ways in which a helper gives no answer.
var (
	errHung = errors.New("no answer in time")
	errDied = errors.New("the probe helper ended without an answer")
)

// maxStages bounds the steps of one request.
const maxStages = 32

// helper is one probe process. One goroutine calls it; any may kill it.
type helper struct {
	mount string
	proc  *os.Process
	sock  *os.File
	page  *probe.Page
	gone  chan struct{} // closed by the one waiter, when the kernel has let the process go
	buf   []byte
	fresh bool // has not answered yet
}

func newHelper(mount string, p probe.Helper) *helper {
	h := &helper{mount: mount, proc: p.Proc, sock: p.Sock, page: p.Page, gone: make(chan struct{}), buf: make([]byte, probe.MaxPacket), fresh: true}
	go h.reap()
	return h
}

// reap is joined through gone. It outlives a Close only for a process in uninterruptible sleep.
func (h *helper) reap() {
	defer close(h.gone)
	// How it ended does not matter: a lost answer is seen at the socket.
	_, _ = h.proc.Wait()
	h.page.Close()
}

// call sends one request and waits for its end; each stage has the whole timeout. After an error the
// helper is of no use any more.
func (h *helper) call(ctx context.Context, req probe.Request, timeout time.Duration) (probe.Reply, error) {
	seen := h.page.Reset()
	last := probe.Reply{Stage: probe.StageSend}
	if err := h.sock.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return last, err
	}
	if _, err := h.sock.Write(req.Encode()); err != nil {
		return last, lost(err)
	}
	// A cancelled caller must not wait out the stage.
	defer context.AfterFunc(ctx, func() { _ = h.sock.SetReadDeadline(time.Unix(1, 0)) })()
	b, err := h.receive(ctx, timeout, seen)
	if err != nil {
		last.Stage, _ = h.page.Step()
		return last, err
	}
	return probe.DecodeReply(b)
}

// limit is the timeout, but time to start for a new helper.
func (h *helper) limit(timeout time.Duration) time.Duration {
	if h.fresh {
		return max(timeout, startTime)
	}
	return timeout
}

// portions is into how many parts a timeout is cut.
const portions = 8

// receive waits for the answer; each step that the helper takes has the whole timeout. It is counted in slices,
// each as one however long it took: when this process itself was stopped or starved for a while (a paused
// container), that is no hang of the mount.
func (h *helper) receive(ctx context.Context, timeout time.Duration, seen uint64) ([]byte, error) {
	slice := max(timeout/portions, time.Millisecond)
	for left, steps := h.limit(timeout), 0; left > 0 && steps <= maxStages; {
		if err := h.sock.SetReadDeadline(time.Now().Add(slice)); err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := h.sock.Read(h.buf)
		switch {
		case err == nil:
			h.fresh = false
			return h.buf[:n], nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return nil, lost(err)
		}
		left -= slice
		if _, now := h.page.Step(); now != seen {
			seen, left, h.fresh = now, timeout, false
			steps++
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return nil, errHung
}

func lost(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, os.ErrClosed) {
		return errDied
	}
	return fmt.Errorf("%w: %w", errDied, err)
}

// kill ends the helper as far as the kernel lets it; gone tells when it has.
func (h *helper) kill() {
	// A process that is gone already is what was wanted; nothing else can fail here.
	_ = h.proc.Kill()
	_ = h.sock.Close()
}

// ended tells, without waiting, whether the process is gone.
func (h *helper) ended() bool {
	select {
	case <-h.gone:
		return true
	default:
		return false
	}
}

// wait gives a helper that was told to end a moment to do so.
func (h *helper) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-h.gone:
		return true
	case <-t.C:
		return false
	}
}
