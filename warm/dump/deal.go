package dump

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/interlock-run/interlock/warm/drain"
)

// A deck is a list of items in a file without a name: those of one band, or of one part of a merge.
type deck struct {
	file  *os.File
	buf   *bufio.Writer
	count int64
}

// deal writes each item of a list to the deck of its band.
func deal(list *deck, s *survey, folder string) (decks []*deck, bands []bandInfo, err error) {
	bandOf, count := s.cut(bandCount)
	bands = s.describe(&bandOf, count)
	if decks, err = newDecks(folder, len(bands)); err != nil {
		return nil, nil, err
	}
	for e, err := range list.Entries() {
		if err != nil {
			return nil, nil, errors.Join(err, closeDecks(decks))
		}
		if err := decks[bandOf[bucketOf(&e, s.now)]].add(&e); err != nil {
			return nil, nil, errors.Join(err, closeDecks(decks))
		}
	}
	if err := rewind(decks); err != nil {
		return nil, nil, errors.Join(err, closeDecks(decks))
	}
	return decks, bands, nil
}

func newDecks(folder string, count int) (decks []*deck, err error) {
	for range count {
		d, err := newDeck(folder)
		if err != nil {
			return nil, errors.Join(err, closeDecks(decks))
		}
		decks = append(decks, d)
	}
	return decks, nil
}

func newDeck(folder string) (*deck, error) {
	f, err := os.CreateTemp(folder, ".band-*")
	if err != nil {
		return nil, fmt.Errorf("cannot write a list of items: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot write a list of items: %w", err), f.Close())
	}
	return &deck{file: f, buf: bufio.NewWriterSize(f, 64<<10)}, nil
}

func rewind(decks []*deck) error {
	for _, d := range decks {
		if err := d.rewind(); err != nil {
			return err
		}
	}
	return nil
}

func closeDecks(decks []*deck) error {
	var errs []error
	for _, d := range decks {
		errs = append(errs, d.file.Close())
	}
	return errors.Join(errs...)
}

// add appends an entry: lengths and numbers as varints, then the key.
func (d *deck) add(e *drain.Entry) error {
	fetched := byte(0)
	if e.Fetched {
		fetched = 1
	}
	to := append(d.buf.AvailableBuffer(), byte(len(e.Key)), fetched)
	to = binary.AppendVarint(to, e.Expires)
	to = binary.AppendVarint(to, e.Access)
	to = binary.AppendVarint(to, e.Size)
	if _, err := d.buf.Write(append(to, e.Key...)); err != nil {
		return fmt.Errorf("cannot write a list of items: %w", err)
	}
	d.count++
	return nil
}

func (d *deck) flush() error {
	if err := d.buf.Flush(); err != nil {
		return fmt.Errorf("cannot write a list of items: %w", err)
	}
	return nil
}

func (d *deck) rewind() error {
	if err := d.flush(); err != nil {
		return err
	}
	d.buf = nil
	if _, err := d.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("cannot read a list of items again: %w", err)
	}
	return nil
}

// maxHead is what stands before a key at most.
const maxHead = 2 + 3*binary.MaxVarintLen64

// next reads an entry; io.EOF after the last. Its key is appended to keys, and valid as long as that memory.
func next(r *bufio.Reader, e *drain.Entry, keys []byte) ([]byte, error) {
	head, err := r.Peek(maxHead) // less at the end of the file
	if len(head) == 0 {
		return keys, err // io.EOF, here alone
	}
	if err != nil && err != io.EOF {
		return keys, fmt.Errorf("cannot read a list of items again: %w", err)
	}
	used := min(2, len(head))
	for _, to := range []*int64{&e.Expires, &e.Access, &e.Size} {
		n := 0
		*to, n = binary.Varint(head[used:])
		if n <= 0 {
			return keys, errors.New("cannot read a list of items again: it is not as it was written")
		}
		used += n
	}
	length := int(head[0])
	e.Fetched = head[1] == 1
	if _, err := r.Discard(used); err != nil {
		return keys, fmt.Errorf("cannot read a list of items again: %w", err)
	}
	start := len(keys)
	keys = slices.Grow(keys, length)[:start+length]
	e.Key = keys[start : start+length : start+length]
	if _, err := io.ReadFull(r, e.Key); err != nil {
		return keys, fmt.Errorf("cannot read a list of items again: %v", err)
	}
	return keys, nil
}
