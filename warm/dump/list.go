package dump

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/interlock-run/interlock/warm/drain"
	"github.com/interlock-run/interlock/warm/memcached"
)

// list gets a whole list and what stands in it.
func (d *dump) list(ctx context.Context) (list *deck, sv *survey, err error) {
	err = d.tries(ctx, func() error {
		list, sv, err = d.try(ctx)
		return err
	})
	return list, sv, err
}

// tries lists until it is done. Each try comes after the one before has left the server.
func (d *dump) tries(ctx context.Context, once func() error) error {
	var last error
	for try := range listTries {
		err := once()
		if err == nil {
			return nil
		}
		if !again(err) {
			return errors.Join(err, last)
		}
		last = err
		d.Note(fmt.Sprintf("listing failed, try %d of %d: %v", try+1, listTries, err))
		if err := pause(ctx, 200*time.Millisecond<<try); err != nil {
			return err
		}
	}
	return fmt.Errorf("given up after %d tries: %w", listTries, last)
}

// try keeps what is wanted of the list in a deck.
func (d *dump) try(ctx context.Context) (*deck, *survey, error) {
	keep, err := newDeck(d.Scratch)
	if err != nil {
		return nil, nil, err
	}
	sv := &survey{now: d.now()}
	err = d.entries(ctx, func(entries iter.Seq2[drain.Entry, error]) error { return sv.take(entries, keep.add) })
	if err == nil {
		err = keep.flush()
	}
	if err != nil {
		return nil, nil, errors.Join(err, keep.Close())
	}
	return keep, sv, nil
}

// entries lists once, or twice where a listing may miss what moves.
func (d *dump) entries(ctx context.Context, take func(iter.Seq2[drain.Entry, error]) error) error {
	if d.listing == All {
		return d.twice(ctx, take)
	}
	return d.single(ctx, take)
}

// single takes the list while it is made.
func (d *dump) single(ctx context.Context, take func(iter.Seq2[drain.Entry, error]) error) error {
	list, err := d.once(ctx, take)
	if err != nil {
		return err
	}
	d.listed = list.Took
	return list.Close()
}

// twice takes what two lists have together.
func (d *dump) twice(ctx context.Context, take func(iter.Seq2[drain.Entry, error]) error) error {
	list, err := d.once(ctx, nil)
	if err != nil {
		return err
	}
	second, err := d.once(ctx, nil)
	if err != nil {
		return errors.Join(err, list.Close())
	}
	both, err := merge(d.Scratch, list, second)
	if err = errors.Join(err, list.Close(), second.Close()); err != nil {
		return err
	}
	return errors.Join(take(both.Entries()), both.Close())
}

func (d *dump) once(ctx context.Context, follow func(iter.Seq2[drain.Entry, error]) error) (*drain.Spool, error) {
	if err := d.settle(ctx); err != nil {
		return nil, err
	}
	o := d.Drain
	o.Mode, o.Folder, o.Follow = string(d.listing), d.Scratch, follow
	return drain.List(ctx, d.Server, o)
}

func again(err error) bool {
	if errors.Is(err, drain.ErrStuck) {
		return false // the next reader would sleep beside it
	}
	for _, e := range []error{drain.ErrTorn, drain.ErrStalled, drain.ErrBusy, drain.ErrLost} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// settle waits until the server's crawler rests and an ordinary command is answered on another connection: a
// crawler command beside one that hangs makes a worker thread of the server hang too, for good.
func (d *dump) settle(ctx context.Context) error {
	end := time.Now().Add(30 * time.Second)
	var last error
	for time.Now().Before(end) {
		var st memcached.State
		if st, last = d.ask(ctx); last == nil && !st.Crawling {
			return nil
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	if last == nil {
		last = errors.New("its crawler runs")
	}
	return fmt.Errorf("memcached %s: %w: expected it idle within 30 s: %w", d.Server, ErrUnsettled, last)
}

// ask takes the state over a connection of its own.
func (d *dump) ask(ctx context.Context) (memcached.State, error) {
	c, err := memcached.Dial(ctx, d.Server, memcached.Options{Timeout: 2 * time.Second})
	if err != nil {
		return memcached.State{}, err
	}
	defer c.Close()
	return c.State()
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
