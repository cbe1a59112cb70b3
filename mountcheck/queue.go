package mountcheck

import (
	"context"
	"sync"
)

// queue hands findings to a consumer that may be slow: those who find never wait, and the first ones are
// never lost.
type queue struct {
	mu    sync.Mutex
	items []Finding
	wake  chan struct{}
	out   chan Finding
}

// maxQueued bounds what is kept for a consumer that does not read; beyond it the newest replaces the last.
const maxQueued = 64

func newQueue() *queue {
	return &queue{wake: make(chan struct{}, 1), out: make(chan Finding)}
}

func (q *queue) push(f Finding) {
	q.mu.Lock()
	if len(q.items) < maxQueued {
		q.items = append(q.items, f)
	} else {
		q.items[maxQueued-1] = f
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) pop() (Finding, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		return Finding{}, false
	}
	f := q.items[0]
	q.items = append(q.items[:0], q.items[1:]...)
	return f, true
}

// run delivers until ctx ends, then closes the channel.
func (q *queue) run(ctx context.Context) {
	defer close(q.out)
	for {
		f, ok := q.pop()
		if !ok {
			select {
			case <-q.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		select {
		case q.out <- f:
		case <-ctx.Done():
			return
		}
	}
}
