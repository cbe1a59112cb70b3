package file

import (
	"bytes"
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/lock"
)

// An answer is what file work came to.
type answer struct {
	now    snapshot
	locked bool
	dup    int
	result lock.Result
	err    error
}

// bounded does file work of this place for at most one try.
func (p *place) bounded(ctx context.Context, what string, work func() answer) answer {
	ctx, cancel := context.WithTimeout(ctx, p.d.set.Timing.TryTimeout)
	defer cancel()
	got, late := do(ctx, p.lane, work)
	if late != nil {
		return answer{err: hung(p.d.path, what, late)}
	}
	return got
}

// Read reads the record from the file that the path leads to now.
func (p *place) Read(ctx context.Context) (lock.Stored, error) {
	got := p.bounded(ctx, "read it", func() answer {
		now, err := p.mine()
		return answer{now: now, err: err}
	})
	if got.err != nil {
		return lock.Stored{}, got.err
	}
	return got.now.record(), nil
}

// KeepAlive looks whether the path still leads to the open file, and for a waiting place who is ahead.
func (p *place) KeepAlive(ctx context.Context) error {
	return p.bounded(ctx, "look at it", func() answer {
		now, err := p.mine()
		if err == nil && p.phase == waiting {
			w := now.holder(p.d.path)
			p.ahead.Store(&w)
		}
		return answer{err: err}
	}).err
}

// Write puts the record into the file without waiting for the disk. Those who read it, a successor or a
// guard, run under the same kernel and see it in memory, also when this process dies. Only a failure of
// the host loses it, and that ends everybody who could still act on it; the token and the record of the
// grant are on the disk, and the slot that holds them is not written to. A disk that is slow to sync can
// then not cost the lease.
func (p *place) Write(ctx context.Context, data []byte, after lock.Version) (lock.Result, error) {
	data = bytes.Clone(data)
	got := p.bounded(ctx, "write it", func() answer { return p.put(data, after, false) })
	return got.result, got.err
}

// Release brings the record onto the disk, then frees the lock.
func (p *place) Release(ctx context.Context, data []byte, after lock.Version) (lock.Result, error) {
	data = bytes.Clone(data)
	got := p.bounded(ctx, "release it", func() answer {
		got := p.put(data, after, true)
		if got.result.Outcome == lock.Committed {
			got.err = p.end()
		}
		if got.err != nil && got.result.Outcome == lock.Committed {
			got.result = lock.Result{}
		}
		return got
	})
	return got.result, got.err
}

// put is one guarded update: the own key is the lock on the file that the path leads to, with our token
// as its latest.
func (p *place) put(data []byte, after lock.Version, last bool) answer {
	if p.phase != granted {
		return answer{result: lock.Result{Outcome: lock.KeyGone}}
	}
	now, err := p.mine()
	switch {
	case errors.Is(err, lock.ErrPlaceLost) || err == nil && now.Token != p.token.Load():
		return answer{result: lock.Result{Outcome: lock.KeyGone}}
	case err != nil:
		return answer{err: err}
	case after == versionOf(now.Version):
		return p.replace(now, data, last)
	case now.Version == 0:
		return answer{result: lock.Result{Outcome: lock.Missing}}
	}
	return answer{result: lock.Result{Outcome: lock.Moved, Current: now.record()}}
}

// replace writes the record; the last one forgets the holder's name and waits for the disk.
func (p *place) replace(now snapshot, data []byte, last bool) answer {
	next := now.state
	next.Version, next.Written = now.Seq+1, time.Now().UTC()
	if last {
		next.Holder, next.Node = "", ""
	}
	now, err := p.store.update(now, next, data)
	if err == nil && last {
		err = p.store.sync(now)
	}
	switch {
	case errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, errTooLarge):
		return answer{result: lock.Result{Outcome: lock.Refused}, err: err}
	case err != nil:
		return answer{err: err}
	}
	return answer{result: lock.Result{Outcome: lock.Committed, Version: versionOf(next.Version)}}
}

// Leave ends waiting or holding without a word on the record.
func (p *place) Leave(ctx context.Context) error {
	p.once.quit.Do(func() { close(p.quit) })
	ctx, cancel := context.WithTimeout(ctx, p.d.set.Timing.TryTimeout)
	defer cancel()
	if err := p.waits.take(ctx); err != nil {
		return hung(p.d.path, "stop waiting for it", err)
	}
	defer p.waits.give()
	return p.bounded(ctx, "unlock it", func() answer { return answer{err: p.end()} }).err
}

// end frees the lock for all who share the description, and closes ours of it.
func (p *place) end() error {
	if p.phase == ended {
		return nil
	}
	if p.stuck {
		return classify(p.d.path, "take back the wait for its lock before this process ends", unix.EINTR)
	}
	p.phase = ended
	p.ahead.Store(nil)
	err := errors.Join(p.watch.end(), unlock(p.store.fd), unix.Close(p.store.fd))
	return classify(p.d.path, "unlock it", err)
}
