package dump

import (
	"container/heap"
	"context"
	"iter"
	"slices"
	"time"

	"github.com/interlock-run/interlock/warm/drain"
	"github.com/interlock-run/interlock/warm/memcached"
)

// Keys gives the keys of a server that were used last, at most so many. Dir and what limits the reading of items
// are not looked at: it lists, and reads none.
func Keys(ctx context.Context, o Options, most int) ([][]byte, error) {
	d := &dump{Options: o.filled(), begun: time.Now()}
	var keys [][]byte
	err := d.locked(func(held *Lock) (err error) {
		keys, err = d.latest(ctx, most, held)
		return err
	})
	if err != nil {
		return nil, err
	}
	return keys, nil
}

func (d *dump) latest(ctx context.Context, most int, held *Lock) ([][]byte, error) {
	probe, err := memcached.Dial(ctx, d.Server, memcached.Options{})
	if err != nil {
		return nil, err
	}
	defer probe.Close()
	if err := d.meet(ctx, probe, held); err != nil {
		return nil, err
	}
	var found latest
	err = d.tries(ctx, func() error {
		found = latest{}
		return d.entries(ctx, func(entries iter.Seq2[drain.Entry, error]) error {
			return found.take(entries, &survey{now: d.now()}, most)
		})
	})
	keys := make([][]byte, 0, len(found))
	for _, e := range found {
		keys = append(keys, e.Key)
	}
	return keys, err
}

// latest is a heap of entries, the one that was used first on top.
type latest []drain.Entry

func (l latest) Len() int           { return len(l) }
func (l latest) Less(i, j int) bool { return l[i].Access < l[j].Access }
func (l latest) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }

// Push and Pop are of heap.Interface.
func (l *latest) Push(e any) {
	if entry, is := e.(drain.Entry); is {
		*l = append(*l, entry)
	}
}

// Pop takes the last one off.
func (l *latest) Pop() any {
	last := (*l)[len(*l)-1]
	*l = (*l)[:len(*l)-1]
	return last
}

func (l *latest) take(entries iter.Seq2[drain.Entry, error], sv *survey, most int) error {
	for e, err := range entries {
		if err != nil {
			return err // a torn line, too: the next try is soon
		}
		if !sv.wanted(&e) || len(*l) == most && e.Access <= (*l)[0].Access {
			continue
		}
		e.Key = slices.Clone(e.Key)
		heap.Push(l, e)
		if len(*l) > most {
			heap.Pop(l)
		}
	}
	return nil
}
