package dump

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/interlock-run/interlock/warm/drain"
	"github.com/interlock-run/interlock/warm/memcached"
)

// list gets a whole list and what stands in it. Each try comes after the one before has left the server.
func (d *dump) list(ctx context.Context) (source, *survey, error) {
	var last error
	for try := range listTries {
		list, sv, err := d.try(ctx)
		if err == nil {
			return list, sv, nil
		}
		if !again(err) {
			return nil, nil, errors.Join(err, last)
		}
		last = err
		d.Note(fmt.Sprintf("listing failed, try %d of %d: %v", try+1, listTries, err))
		if err := pause(ctx, 200*time.Millisecond<<try); err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, fmt.Errorf("given up after %d tries: %w", listTries, last)
}

// try lists once, or twice where a listing may miss what moves.
func (d *dump) try(ctx context.Context) (source, *survey, error) {
	list, err := d.once(ctx)
	if err != nil {
		return nil, nil, err
	}
	if d.listing == All {
		second, err := d.once(ctx)
		if err != nil {
			return nil, nil, errors.Join(err, list.Close())
		}
		both, err := merge(d.Scratch, list, second)
		if err = errors.Join(err, list.Close(), second.Close()); err != nil {
			return nil, nil, err
		}
		list = both
	}
	sv, err := takeSurvey(list, d.now())
	if err != nil {
		return nil, nil, errors.Join(err, list.Close())
	}
	return list, sv, nil
}

func (d *dump) once(ctx context.Context) (source, error) {
	if err := d.settle(ctx); err != nil {
		return nil, err
	}
	o := d.Drain
	o.Mode, o.Folder = string(d.listing), d.Scratch
	spool, err := drain.List(ctx, d.Server, o)
	if err != nil {
		return nil, err // a nil *Spool would be no nil source
	}
	return spool, nil
}

func again(err error) bool {
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
