package mountcheck

import (
	"context"
	"encoding/binary"
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

// maxStages bounds the stages of one request.
const maxStages = 32

// helper is one probe process. One goroutine calls it; any may kill it.
type helper struct {
	mount string
	proc  *os.Process
	sock  *os.File
	page  *probe.Page
	gone  chan struct{} // closed by the one waiter, when the kernel has let the process go
	fresh bool          // has not answered yet
}

func newHelper(mount string, p probe.Helper) *helper {
	h := &helper{mount: mount, proc: p.Proc, sock: p.Sock, page: p.Page, gone: make(chan struct{}), fresh: true}
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

// call sends one request and waits for its end; each stage has the whole timeout. The answers are those to the steps
// that were done, also where the helper hangs, then in the stage at. After an error the helper is of no use any more.
func (h *helper) call(ctx context.Context, req probe.Request, timeout time.Duration) (answers []probe.Reply, at probe.Stage, err error) {
	req.Number = h.page.Reset()
	if err := h.sock.SetDeadline(time.Now().Add(slice(timeout))); err != nil {
		return nil, probe.StageSend, err
	}
	if _, err := h.sock.Write(req.Encode()); err != nil {
		return nil, probe.StageSend, lost(err)
	}
	// A cancelled caller must not wait out the stage.
	defer context.AfterFunc(ctx, func() { _ = h.sock.SetReadDeadline(time.Unix(1, 0)) })()
	err = h.receive(ctx, timeout, req.Number)
	at, _ = h.page.Stage()
	answers, bad := h.page.Answers()
	if err == nil && len(answers) == 0 {
		bad = errDied // since it has answered
	}
	return answers, at, errors.Join(err, bad)
}

// limit is the timeout, but time to start for a new helper.
func (h *helper) limit(timeout time.Duration) time.Duration {
	if h.fresh {
		return max(timeout, startTime)
	}
	return timeout
}

// slice is a part of a timeout.
func slice(timeout time.Duration) time.Duration { return max(timeout/8, time.Millisecond) }

// receive waits for the end of a request; each stage that the helper comes to has the whole timeout. It is counted in slices,
// each as one however long it took: when this process itself was stopped or starved for a while (a paused
// container), that is no hang of the mount.
func (h *helper) receive(ctx context.Context, timeout time.Duration, number uint64) error {
	seen, end := number, make([]byte, 8)
	for left, stages := h.limit(timeout), 0; left > 0 && stages <= maxStages; {
		n, err := h.sock.Read(end)
		switch {
		case err == nil && (n != len(end) || binary.LittleEndian.Uint64(end) != number):
			return probe.ErrPacket // the end of another request
		case err == nil:
			h.fresh = false
			return h.sock.SetDeadline(time.Time{}) // its timer would wake us for nothing
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return lost(err)
		}
		if err := h.sock.SetReadDeadline(time.Now().Add(slice(timeout))); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		left -= slice(timeout)
		if _, now := h.page.Stage(); now != seen {
			seen, left, h.fresh = now, timeout, false
			stages++
		}
	}
	return errHung
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
