package load

import (
	"errors"
	"fmt"

	"github.com/interlock-run/interlock/warm/memcached"
)

// settle reads the answers of the oldest window, and marks it as stored.
func (w *worker) settle() error {
	win := w.open[0]
	kept, c := win.sent, win.counts
	for {
		if err := w.conn.Read(&w.reply); err != nil {
			return err
		}
		switch w.reply.Status {
		case memcached.End:
			c.Loaded = kept
			w.open = w.open[1:]
			w.l.settleWindow(w.name, win, c)
			if c.OutOfMemory > 0 {
				return w.l.stop("the server is out of memory")
			}
			return nil
		case memcached.Done:
			continue // a large one, stored
		case memcached.Exists:
			if win.repeat {
				c.Repeated++
			} else {
				c.Exists++
			}
		case memcached.Refused:
			refused(&c, w.reply.Err)
		default:
			return fmt.Errorf("memcached %s: %w: status %d to a store", w.l.Server, memcached.ErrProtocol, w.reply.Status)
		}
		kept--
	}
}

func refused(c *Counts, err error) {
	switch {
	case errors.Is(err, memcached.ErrOutOfMemory):
		c.OutOfMemory++
	case errors.Is(err, memcached.ErrTooLarge):
		c.TooLarge++
	default:
		c.Refused++
	}
}

func (l *Load) mark(name string) Mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.progress.Parts[name]
}

// settleWindow counts what is answered, and marks how far the part is.
func (l *Load) settleWindow(name string, win window, c Counts) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settled.Add(win.after.Items - l.progress.Parts[name].Items)
	l.progress.Parts[name] = win.after
	l.add(c)
}

func (l *Load) addCounts(c Counts) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(c)
}

// add sums up; the lock is held.
func (l *Load) add(c Counts) { l.counts.Add(c) }

// Add sums up.
func (t *Counts) Add(c Counts) {
	for _, p := range []struct{ to, from *int64 }{{&t.Loaded, &c.Loaded}, {&t.Exists, &c.Exists}, {&t.Expired, &c.Expired},
		{&t.NotOurs, &c.NotOurs}, {&t.TooLarge, &c.TooLarge}, {&t.OutOfMemory, &c.OutOfMemory}, {&t.Refused, &c.Refused},
		{&t.Repeated, &c.Repeated}, {&t.Interrupted, &c.Interrupted}, {&t.Protected, &c.Protected}} {
		*p.to += *p.from
	}
}
