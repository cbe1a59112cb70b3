package wire

import (
	"container/heap"
	"sync"
	"time"
)

// parcel is a packet on its way; with a zero time it is there already.
type parcel struct {
	to     *Node
	packet []byte
	at     time.Time
	seq    int
}

// later delivers parcels at their time, in the order in which they were added where the times are equal.
type later struct {
	mu     sync.Mutex
	queue  parcels
	seq    int
	closed bool
	wake   chan struct{}
}

func newLater() *later { return &later{wake: make(chan struct{}, 1)} }

func (l *later) add(p parcel) {
	l.mu.Lock()
	l.seq++
	p.seq = l.seq
	heap.Push(&l.queue, p)
	l.mu.Unlock()
	l.nudge()
}

func (l *later) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.nudge()
}

func (l *later) nudge() {
	select {
	case l.wake <- struct{}{}:
	default: // it is awake already
	}
}

func (l *later) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		due, next, over := l.due()
		if over {
			return
		}
		for _, p := range due {
			p.to.deliver(p.packet)
		}
		timer.Reset(next)
		select {
		case <-timer.C:
		case <-l.wake:
		}
	}
}

// due takes out what has arrived, and tells how long to wait for the rest.
func (l *later) due() (out []parcel, next time.Duration, over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for len(l.queue) > 0 && !l.queue[0].at.After(now) {
		out = append(out, heap.Pop(&l.queue).(parcel))
	}
	next = time.Hour
	if len(l.queue) > 0 {
		next = l.queue[0].at.Sub(now)
	}
	return out, next, l.closed
}

// parcels is the heap.
type parcels []parcel

func (p parcels) Len() int { return len(p) }
func (p parcels) Less(i, j int) bool {
	if p[i].at.Equal(p[j].at) {
		return p[i].seq < p[j].seq
	}
	return p[i].at.Before(p[j].at)
}
func (p parcels) Swap(i, j int) { p[i], p[j] = p[j], p[i] }
func (p *parcels) Push(x any)   { *p = append(*p, x.(parcel)) }
func (p *parcels) Pop() any {
	last := (*p)[len(*p)-1]
	*p = (*p)[:len(*p)-1]
	return last
}
