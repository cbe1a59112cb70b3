package fault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/interlock-run/interlock/internal/chaos/field"
)

// A Book is the fault log, in the form that the judge reads: `boot_ns seq begin|end name host stall|-`.
type Book struct {
	mu  sync.Mutex
	w   io.Writer
	seq int
	err error
}

// NewBook writes to w.
func NewBook(w io.Writer) *Book { return &Book{w: w} }

func (b *Book) begin(name, host string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seq++
	b.write(b.seq, "begin", name, host, false, field.Now())
	return b.seq
}

// end is stamped before the heal: from then on the victim may run again.
func (b *Book) end(seq int, name, host string, stall bool, at time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.write(seq, "end", name, host, stall, at)
}

func (b *Book) write(seq int, what, name, host string, stall bool, at time.Duration) {
	mark := "-"
	if stall {
		mark = "stall"
	}
	_, err := fmt.Fprintf(b.w, "%d %d %s %s %s %s\n", at, seq, what, name, host, mark)
	b.err = errors.Join(b.err, err)
}

// Err is the first failure to write.
func (b *Book) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

func (p Plan) String() string {
	var parts []string
	for _, one := range p.Parts {
		parts = append(parts, fmt.Sprintf("%s on %s for %v", one.Fault.Name, one.Env.Target.Host, one.Env.Length.Round(time.Millisecond)))
	}
	return strings.Join(parts, " + ")
}

// Do carries a plan out: every part begins, lasts and is healed before it returns.
func (p Plan) Do(ctx context.Context, b *Book) error {
	var join sync.WaitGroup
	errs := make([]error, len(p.Parts))
	for i, one := range p.Parts {
		if i > 0 {
			wait(ctx, between(one.Env, 0, max(p.Parts[0].Env.Length, time.Second)))
		}
		join.Add(1)
		go func() {
			defer join.Done()
			errs[i] = one.do(ctx, b)
		}()
	}
	join.Wait()
	return errors.Join(append(errs, b.Err())...)
}

// do is one part. It heals also where the context has ended: nothing may stay broken.
func (p Part) do(ctx context.Context, b *Book) error {
	name, host := p.Fault.Name, p.Env.Target.Host
	seq := b.begin(name, host)
	began := field.Now()
	heal, err := p.Fault.Inject(ctx, p.Env)
	if heal != nil {
		wait(ctx, p.Env.Length)
	}
	at := field.Now()
	stall := p.Env.Stall || name == stopBoth && at-began > BothStopped
	if heal != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, heal(ctx))
	}
	b.end(seq, name, host, stall, at)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
