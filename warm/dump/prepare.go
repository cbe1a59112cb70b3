package dump

import (
	"context"
	"errors"
	"fmt"

	"github.com/interlock-run/interlock/warm/memcached"
)

// prepare finds out whom it talks to, and how fast to read.
func (d *dump) prepare(ctx context.Context, probe *memcached.Conn, held *Lock) error {
	if err := d.meet(ctx, probe, held); err != nil {
		return err
	}
	d.rate = newGovernor(d.Rate)
	return d.rate.calm(ctx, probe)
}

// meet finds out how to list, and by which clock, and that nobody else is about to.
func (d *dump) meet(ctx context.Context, probe *memcached.Conn, held *Lock) error {
	if err := held.Meet(probe); err != nil {
		return err
	}
	isLocal, err := local(d.Scratch)
	if err != nil {
		return err
	}
	var warning string
	if d.listing, warning, err = Choose(probe.Version(), d.Listing, isLocal); err != nil {
		return fmt.Errorf("memcached %s: %w", d.Server, err)
	}
	if warning != "" {
		d.Note(warning)
	}
	if d.first, err = probe.State(); err != nil {
		return err
	}
	d.clock, err = probe.Clock(ctx)
	return err
}

// dial connects to the same run of the server as at the start.
func (d *dump) dial(ctx context.Context) (*memcached.Conn, error) {
	c, err := memcached.Dial(ctx, d.Server, memcached.Options{MaxValue: d.Values, Buffer: buffer})
	if errors.Is(err, memcached.ErrBinaryOnly) {
		// It has answered in text: this is a second connection that was lost, while the first one was looked into.
		err = fmt.Errorf("memcached %s: %w, and another one", d.Server, memcached.ErrLost)
	}
	if err != nil {
		return nil, err
	}
	st, err := c.State()
	if err == nil && (!st.Continues(d.first)) {
		err = fmt.Errorf("memcached %s: %w", d.Server, ErrRestarted)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}
