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
func (d *dump) list(ctx context.Context) (*drain.Spool, *survey, error) {
	o := d.Drain
	o.Mode, o.Folder = string(d.listing), d.Scratch
	var last error
	for try := range listTries {
		if err := d.settle(ctx); err != nil {
			return nil, nil, errors.Join(err, last)
		}
		spool, err := drain.List(ctx, d.Server, o)
		if err == nil {
			var sv *survey
			if sv, err = takeSurvey(spool, d.now()); err == nil {
				return spool, sv, nil
			}
			err = errors.Join(err, spool.Close())
		}
		if !again(err) {
			return nil, nil, err
		}
		last = err
		d.Note(fmt.Sprintf("listing failed, try %d of %d: %v", try+1, listTries, err))
		if err := pause(ctx, 200*time.Millisecond<<try); err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, fmt.Errorf("given up after %d tries: %w", listTries, last)
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
