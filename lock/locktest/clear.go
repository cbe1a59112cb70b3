package locktest

import (
	"context"
	"errors"
	"slices"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/lock"
)

// testClear: a record is turned into drained by whoever names all whose nodes were fenced, and confirms it;
// everything else leaves it as it is.
func testClear(b *bench) {
	crashed := lock.Record{
		V: 1, Token: 1, Holder: "old", Node: "n1", BootID: "then", Phase: lock.Running, WaitMS: 3000,
		Owes: []lock.Owed{{Token: 1, Node: "n0", BootID: "before", Volumes: []string{"v"}}, {Unknown: true}},
	}
	a := b.holder("a")
	a.write(b.encode(crashed), a.read().Version, lock.Committed)
	d := b.open("operator")
	all := []string{"n0", "n1", lock.UnknownNode}
	if err := b.clear(d, all, nil); !errors.Is(err, lock.ErrHeld) {
		b.Errorf("while a holder has its key: %v, expected held", err)
	}
	a.leave()
	no := errors.New("no")
	for _, c := range []struct {
		fenced []string
		answer error
		want   error
	}{
		{[]string{"n1"}, nil, lock.ErrNotCovered}, {[]string{"n0", "n1"}, nil, lock.ErrNotCovered},
		{nil, nil, lock.ErrNotCovered}, {append([]string{"n7"}, all...), nil, lock.ErrNotCovered}, {all, no, no},
	} {
		if err := b.clear(d, c.fenced, func(lock.Record) error { return c.answer }); !errors.Is(err, c.want) {
			b.Errorf("fenced %v, confirmed %v: %v, expected %v", c.fenced, c.answer, err, c.want)
		}
	}
	shown := 0
	see := func(r lock.Record) error {
		shown++
		if r.Token != crashed.Token || r.Node != crashed.Node || len(r.Owes) != 2 {
			b.Errorf("shown %+v", r)
		}
		return nil
	}
	if r := b.record("before"); r.Phase != lock.Running || r.Holder != "old" {
		b.Fatalf("what was refused changed the record: %+v", r)
	}
	b.must(b.clear(d, all, see), "clear")
	if r := b.record("after"); r.Phase != lock.Drained || len(r.Owes) > 0 || r.Token <= crashed.Token || r.Holder != "operator" {
		b.Errorf("the record is %+v: expected drained, by the operator", r)
	}
	b.must(b.clear(d, all, see), "clear again")
	if shown != 1 {
		b.Errorf("asked %d times: expected once", shown)
	}
}

// testClearMoved: the record that is replaced is the one that was confirmed.
func testClearMoved(b *bench) {
	b.need(b.lock.Overwrite != nil, "have its record changed from outside")
	r := lock.Record{V: 1, Token: 1, Holder: "old", Node: "n1", BootID: "then", Phase: lock.Running, WaitMS: 3000}
	a := b.holder("a")
	a.write(b.encode(r), a.read().Version, lock.Committed)
	a.leave()
	r.WaitMS = 2000
	err := b.clear(b.open("operator"), []string{"n1"}, func(lock.Record) error {
		b.lock.Overwrite(b.T, []byte(b.encode(r)))
		return nil
	})
	if !errors.Is(err, lock.ErrHeld) {
		b.Errorf("the record changed while it was confirmed: %v", err)
	}
	if got := b.record("after"); got.Phase != lock.Running || got.WaitMS != 2000 {
		b.Errorf("the record is %+v", got)
	}
}

func (b *bench) clear(d lock.Driver, fenced []string, confirm func(lock.Record) error) error {
	b.Helper()
	o := lock.Options{
		Timing: b.Timing, Holder: "operator", Node: "n9", BootID: "now", Clock: clock.Now,
		Log: func(string, ...any) {}, Warn: func(string, ...any) {},
	}
	_, _, err := lock.Clear(b.ctx, d, o, slices.Clone(fenced), func(_ context.Context, r lock.Record) error { return confirm(r) })
	return err
}

func (b *bench) encode(r lock.Record) string {
	b.Helper()
	data, err := r.Encode()
	b.must(err, "encode")
	return string(data)
}

// record reads what is there with the lock in hand.
func (b *bench) record(who string) lock.Record {
	b.Helper()
	c := b.holder(who)
	r, err := lock.DecodeRecord(c.read().Data, b.Timing)
	b.must(err, "the record")
	c.leave()
	return r
}
