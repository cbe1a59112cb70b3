package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
)

// A checker is a command that reads the stream beside the store and says whether it is whole.
type checker struct {
	ctx  context.Context
	p    *process
	in   *os.File // nil once it is closed
	lost error    // it stopped reading
}

// checker starts a verify command; all joins it.
func (t *taking) checker(ctx context.Context, argv []string, all *sync.WaitGroup) (*checker, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p, err := start(t.src.Run, t.o.Log, argv, stdio{in: read})
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	all.Go(func() { p.killWith(ctx) })
	return &checker{ctx: ctx, p: p, in: write}, nil
}

// feed passes the next bytes on, as fast as the command takes them.
func (c *checker) feed(b []byte) {
	if c.in == nil || c.lost != nil || len(b) == 0 {
		return
	}
	_, c.lost = c.in.Write(b)
}

// verdict tells the command that this was all, and waits for what it says.
func (c *checker) verdict() error {
	c.end()
	<-c.p.exited
	if err := c.p.failure(c.ctx); err != nil {
		return fmt.Errorf("the stream was not verified: %w", err)
	}
	if c.lost != nil {
		return fmt.Errorf("%w: %s verifies the stream and ended before its end: %w", ErrCommand, c.p.name, c.lost)
	}
	return nil
}

// end closes the command's input.
func (c *checker) end() {
	if c.in == nil {
		return
	}
	if err := c.in.Close(); err != nil && c.lost == nil {
		c.lost = err
	}
	c.in = nil
}
