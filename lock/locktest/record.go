package locktest

import (
	"bytes"
	"context"
	"errors"

	"github.com/interlock-run/interlock/lock"
)

// testReadAbsent: no record reads as the zero Stored.
func testReadAbsent(b *bench) {
	got := b.holder("a").read()
	if got.Exists() || len(got.Data) != 0 {
		b.Fatalf("a lock that was never written has record %q at %+v, expected none", got.Data, got.Version)
	}
}

// testReadCancelled: a read that did not happen is an error, not "absent".
func testReadCancelled(b *bench) {
	a := b.holder("a")
	a.write("one", lock.Version{}, lock.Committed)
	ctx, cancel := context.WithCancel(b.ctx)
	cancel()
	if got, err := a.place.Read(ctx); err == nil {
		b.Fatalf("read with an ended context gave %+v without an error", got)
	}
}

// testWriteAndRead: any bytes come back, each write at a version of its own.
func testWriteAndRead(b *bench) {
	a := b.holder("a")
	every := make([]byte, 4096)
	for i := range every {
		every[i] = byte(i)
	}
	seen := map[int64]bool{}
	version := lock.Version{}
	for _, data := range [][]byte{[]byte("one"), every, {}, []byte("two")} {
		r := a.write(string(data), version, lock.Committed)
		if seen[r.Version.Seen] {
			b.Fatalf("version %+v came twice", r.Version)
		}
		seen[r.Version.Seen] = true
		version = r.Version
		got := a.read()
		if !bytes.Equal(got.Data, data) || got.Version != version {
			b.Fatalf("read %d bytes at %+v, expected the %d written at %+v", len(got.Data), got.Version, len(data), version)
		}
	}
}

// testWriteGuarded: a write after another version than the present changes nothing and shows it.
func testWriteGuarded(b *bench) {
	a := b.holder("a")
	first := a.write("one", lock.Version{}, lock.Committed)
	second := a.write("two", first.Version, lock.Committed)
	for _, wrong := range []lock.Version{{}, first.Version} {
		r := a.write("three", wrong, lock.Moved)
		if string(r.Current.Data) != "two" || r.Current.Version != second.Version {
			b.Fatalf("Moved shows %q at %+v, expected \"two\" at %+v", r.Current.Data, r.Current.Version, second.Version)
		}
	}
	a.holds("two", second.Version)
}

// testWriteAdoptsOwn: after a lost reply the own write is found, and its version can be built on (W2).
func testWriteAdoptsOwn(b *bench) {
	a := b.holder("a")
	base := a.write("base", lock.Version{}, lock.Committed)
	a.write("mine", base.Version, lock.Committed) // its reply counts as lost
	r := a.write("mine", base.Version, lock.Moved)
	if string(r.Current.Data) != "mine" {
		b.Fatalf("Moved shows %q, expected the own write", r.Current.Data)
	}
	a.write("next", r.Current.Version, lock.Committed)
}

// testOverwrite: bytes of a stranger are shown as they are, and never overwritten unseen.
func testOverwrite(b *bench) {
	b.need(b.lock.Overwrite != nil, "overwrite the record from outside")
	a := b.holder("a")
	mine := a.write("mine", lock.Version{}, lock.Committed)
	b.lock.Overwrite(b.T, []byte("foreign"))
	r := a.write("next", mine.Version, lock.Moved)
	if string(r.Current.Data) != "foreign" || r.Current.Version == mine.Version {
		b.Fatalf("Moved shows %q at %+v, expected \"foreign\" at another version than %+v", r.Current.Data, r.Current.Version, mine.Version)
	}
	a.holds("foreign", r.Current.Version)
	a.release("bye", mine.Version, lock.Moved)
}

// testWriteKeyGone: without the own key nothing is written, by Write or by Release (W1).
func testWriteKeyGone(b *bench) {
	b.need(b.lock.RemoveKey != nil, "remove a key from outside")
	a := b.holder("a")
	mine := a.write("mine", lock.Version{}, lock.Committed)
	b.lock.RemoveKey(b.T, a.place)
	a.write("late", mine.Version, lock.KeyGone)
	a.release("late", mine.Version, lock.KeyGone)
	a.leave()
	c := b.holder("c")
	if b.Traits.SingleFile {
		return
	}
	c.holds("mine", mine.Version)
}

// testWriteMissing: a removed record is told apart from a lost key, and can be written anew at a
// version that never was (W3).
func testWriteMissing(b *bench) {
	b.need(b.lock.RemoveRecord != nil, "remove the record alone")
	a := b.holder("a")
	mine := a.write("mine", lock.Version{}, lock.Committed)
	b.lock.RemoveRecord(b.T)
	a.write("next", mine.Version, lock.Missing)
	a.release("bye", mine.Version, lock.Missing)
	if a.read().Exists() {
		b.Fatal("the removed record still reads as present")
	}
	again := a.write("again", lock.Version{}, lock.Committed)
	if again.Version.Seen == mine.Version.Seen {
		b.Fatalf("the new record has the version %d of the removed one", mine.Version.Seen)
	}
	a.holds("again", again.Version)
}

// testCorrupt: a record that the driver cannot read is ErrBadRecord for a new contender, and stays.
func testCorrupt(b *bench) {
	b.need(b.lock.Corrupt != nil, "damage the record below the driver")
	a := b.holder("a")
	a.write("mine", lock.Version{}, lock.Committed)
	a.hand("released")
	b.lock.Corrupt(b.T)
	for _, name := range []string{"c", "d"} {
		if err := b.tryHolder(name); !errors.Is(err, lock.ErrBadRecord) {
			b.Fatalf("%s got %v from a damaged record, expected ErrBadRecord", name, err)
		}
	}
}

// tryHolder opens, joins, awaits and reads, and gives the first error.
func (b *bench) tryHolder(name string) error {
	d, err := b.lock.Open(b.ctx, b.settings(name))
	if err != nil {
		return err
	}
	defer func() { b.must(d.Close(), "close "+name) }()
	p, err := d.Join(b.ctx)
	if err != nil {
		return err
	}
	defer func() { b.must(p.Leave(b.ctx), "leave "+name) }()
	c := &contender{b: b, name: name, driver: d, place: p}
	if err := p.Await(b.ctx, c.see); err != nil {
		return err
	}
	_, err = p.Read(b.ctx)
	return err
}
