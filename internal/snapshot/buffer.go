package snapshot

import "context"

// A buffer is memory of a pool; release gives it back.
type buffer struct {
	data []byte
	home *pool
}

func (b *buffer) release() {
	if b != nil {
		b.home.free <- b
	}
}

// A pool bounds memory: so many buffers of one size, made when first needed. Who takes several at once, or
// waits for others that take some, takes them in the order of the stream: the oldest always goes on.
type pool struct {
	free chan *buffer
	size int
}

func newPool(count, size int) *pool {
	p := &pool{make(chan *buffer, count), size}
	for range count {
		p.free <- &buffer{home: p}
	}
	return p
}

func (p *pool) take(ctx context.Context) (*buffer, error) {
	select {
	case b := <-p.free:
		if b.data == nil {
			b.data = make([]byte, p.size)
		}
		return b, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
