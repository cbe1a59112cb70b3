package mountcheck

import (
	"bytes"
	"context"
)

// follower waits for other bytes in a file, which each probe of its mount reads.
type follower struct {
	readRequest
	last []byte
}

// ReadNext returns what is in a small file below a watched mount as soon as a probe reads there something else than
// last, or cannot read it: errors are those of ReadFile. It costs no request of its own. Who follows another file on
// the same mount waits for the one before.
func (w *Watcher) ReadNext(ctx context.Context, path string, limit int, last []byte) ([]byte, error) {
	t, r, err := w.toRead(path, limit)
	if err != nil {
		return nil, err
	}
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, w.unread(ctx, path)
	case <-w.ctx.Done():
		return nil, w.unread(ctx, path)
	}
	t.setFollower(&follower{r, last})
	defer func() { t.setFollower(nil); <-t.turn }()
	select {
	case got := <-r.reply:
		return got.data, got.err
	case <-ctx.Done():
		return nil, w.unread(ctx, path)
	case <-w.ctx.Done():
		return nil, w.unread(ctx, path)
	}
}

func (t *target) followed() *follower {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.follow
}

func (t *target) setFollower(f *follower) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.follow = f
}

// tell gives a follower what a probe has read, or why it did not come to that.
func (t *target) tell(to *follower, x *exam, f Finding) {
	if to == nil {
		return
	}
	got := readReply{err: &MountError{File: to.path, Finding: f}}
	if x != nil && x.read != nil {
		got = x.content(*x.read, to.path)
	}
	if got.err == nil && to.last != nil && bytes.Equal(got.data, to.last) {
		return
	}
	select {
	case to.reply <- got:
	default: // it has not yet taken what the probe before found
	}
}
