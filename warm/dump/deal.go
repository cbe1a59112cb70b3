package dump

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/interlock-run/interlock/warm/drain"
)

// A deck is a list of items in a file without a name: those of one band, or of one part of a merge.
type deck struct {
	file  *os.File
	buf   *bufio.Writer
	count int64
}

// deal writes each item of a list to the deck of its band.
func deal(list source, s *survey, folder string) (decks []*deck, bands []bandInfo, err error) {
	bandOf, bands := s.cut(bandCount)
	for range bands {
		d, err := newDeck(folder)
		if err != nil {
			return nil, nil, errors.Join(err, closeDecks(decks))
		}
		decks = append(decks, d)
	}
	again := survey{now: s.now} // for what wanted counts: it was counted before
	for e, err := range list.Entries() {
		if err != nil {
			return nil, nil, errors.Join(err, closeDecks(decks))
		}
		if !again.wanted(&e) {
			continue
		}
		if err := decks[bandOf[bucketOf(&e, s.now)]].add(&e); err != nil {
			return nil, nil, errors.Join(err, closeDecks(decks))
		}
	}
	for _, d := range decks {
		if err := d.rewind(); err != nil {
			return nil, nil, errors.Join(err, closeDecks(decks))
		}
	}
	return decks, bands, nil
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

func closeDecks(decks []*deck) error {
	var errs []error
	for _, d := range decks {
		errs = append(errs, d.file.Close())
	}
	return errors.Join(errs...)
}

// add appends an entry: lengths and numbers as varints, then the key.
func (d *deck) add(e *drain.Entry) error {
	var line [64]byte
	to := append(line[:0], byte(len(e.Key)), 0)
	if e.Fetched {
		to[1] = 1
	}
	to = binary.AppendVarint(to, e.Expires)
	to = binary.AppendVarint(to, e.Access)
	to = binary.AppendVarint(to, e.Size)
	_, err := d.buf.Write(to)
	if err == nil {
		_, err = d.buf.Write(e.Key)
	}
	if err != nil {
		return fmt.Errorf("cannot write a list of items: %w", err)
	}
	d.count++
	return nil
}

func (d *deck) rewind() error {
	if err := d.buf.Flush(); err != nil {
		return fmt.Errorf("cannot write a list of items: %w", err)
	}
	d.buf = nil
	if _, err := d.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("cannot read a list of items again: %w", err)
	}
	return nil
}

// next reads an entry; io.EOF after the last.
func next(r *bufio.Reader, e *drain.Entry) error {
	length, err := r.ReadByte()
	if err != nil {
		return err // io.EOF, here alone
	}
	fetched, err := r.ReadByte()
	for _, to := range []*int64{&e.Expires, &e.Access, &e.Size} {
		if err == nil {
			*to, err = binary.ReadVarint(r)
		}
	}
	e.Fetched = fetched == 1
	e.Key = append(e.Key[:0], make([]byte, length)...)
	if err == nil {
		_, err = io.ReadFull(r, e.Key)
	}
	if err != nil {
		return fmt.Errorf("cannot read a list of items again: %v", err)
	}
	return nil
}
