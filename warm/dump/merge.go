package dump

import (
	"bufio"
	"errors"
	"hash/maphash"
	"io"
	"iter"

	"github.com/interlock-run/interlock/warm/drain"
)

// source is a list of keys that can be read any number of times.
type source interface {
	Entries() iter.Seq2[drain.Entry, error]
	Close() error
}

// mergeParts bounds what a merge holds in memory: the hashes of one part of the keys.
const mergeParts = 64

// merge makes one list of several, each key once. A listing of mode all may miss what moves while it is made;
// two of them seldom miss the same. Keys are told apart by 64 bits of a hash with a seed of its own: of five
// million keys two are taken for one in one of a million dumps.
func merge(folder string, lists ...source) (source, error) {
	seed := maphash.MakeSeed()
	parts, err := newDecks(folder, mergeParts)
	if err != nil {
		return nil, err
	}
	for _, list := range lists {
		for e, err := range list.Entries() {
			if err == nil {
				err = parts[maphash.Bytes(seed, e.Key)%mergeParts].add(&e)
			}
			if err != nil {
				return nil, errors.Join(err, closeDecks(parts))
			}
		}
	}
	all, err := newDeck(folder)
	for n := 0; err == nil && n < len(parts); n++ {
		err = parts[n].unique(seed, all)
	}
	if err == nil {
		err = all.buf.Flush()
	}
	if err = errors.Join(err, closeDecks(parts)); err != nil {
		if all != nil {
			err = errors.Join(err, all.file.Close())
		}
		return nil, err
	}
	return all, nil
}

// unique appends the first entry of each key.
func (d *deck) unique(seed maphash.Seed, to *deck) error {
	if err := d.rewind(); err != nil {
		return err
	}
	seen := make(map[uint64]struct{}, d.count)
	for e, err := range d.Entries() {
		if err != nil {
			return err
		}
		h := maphash.Bytes(seed, e.Key)
		if _, twice := seen[h]; twice {
			continue
		}
		seen[h] = struct{}{}
		if err := to.add(&e); err != nil {
			return err
		}
	}
	return nil
}

// Entries reads a deck from its start. It is flushed.
func (d *deck) Entries() iter.Seq2[drain.Entry, error] {
	return func(yield func(drain.Entry, error) bool) {
		if _, err := d.file.Seek(0, io.SeekStart); err != nil {
			yield(drain.Entry{}, err)
			return
		}
		r := bufio.NewReaderSize(d.file, 64<<10)
		var e drain.Entry
		var key []byte
		for range d.count {
			var err error
			if key, err = next(r, &e, key[:0]); err != nil {
				yield(e, err)
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Close frees its space.
func (d *deck) Close() error { return d.file.Close() }
