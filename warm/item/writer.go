package item

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"sync"

	"github.com/interlock-run/interlock/internal/breakpoint"
)

// PartSize is when a part is full.
const PartSize = 16 << 20

// A Writer makes a tree in an empty directory. Its methods may be called from many goroutines.
type Writer struct {
	root *os.Root
	id   string

	mu    sync.Mutex
	parts [][]Part // by band; of a part that is open only its place
}

// Create begins a tree with so many bands. The directory exists and is empty.
func Create(dir string, bands int) (*Writer, error) {
	if bands < 0 || bands > maxBands {
		return nil, fmt.Errorf("%d bands, expected at most %d", bands, maxBands)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot write the cache's content: %w", err)
	}
	w := &Writer{root: root, id: newID(), parts: make([][]Part, bands)}
	for b := range bands {
		if err := root.Mkdir(bandName(b), 0o700); err != nil {
			return nil, errors.Join(fmt.Errorf("cannot write the cache's content in %s: %w", dir, err), root.Close())
		}
	}
	return w, nil
}

func newID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // it never fails
	return hex.EncodeToString(id[:])
}

// A PartWriter is one part, for one goroutine.
type PartWriter struct {
	w          *Writer
	band, part int
	file       *os.File
	buf        []byte // not yet in the file
	table      *crc32.Table
	made       Part
}

const (
	writeSize = 64 << 10 // goes to the file at once
	copySize  = 16 << 10 // a value from this size on goes there as it is
)

// Part begins the next part of a band.
func (w *Writer) Part(band int) (*PartWriter, error) {
	w.mu.Lock()
	part := len(w.parts[band])
	w.parts[band] = append(w.parts[band], Part{})
	w.mu.Unlock()
	f, err := w.root.OpenFile(partName(band, part), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot write the cache's content: %w", err)
	}
	p := &PartWriter{w: w, band: band, part: part, file: f, buf: make([]byte, 0, writeSize+copySize+maxLine), table: castagnoli(),
		made: Part{Sizes: map[int64]int64{}}}
	p.buf = append(p.buf, firstLine(w.id, band, part)...)
	return p, nil
}

// write sends what is buffered, and more, to the file.
func (p *PartWriter) write(more []byte) error {
	for _, text := range [][]byte{p.buf, more} {
		if len(text) == 0 {
			continue
		}
		n, err := p.file.Write(text)
		p.made.Size += int64(n)
		if err != nil {
			return fmt.Errorf("cannot write the cache's content: %w", err)
		}
	}
	p.buf = p.buf[:0]
	return nil
}

// Add writes one item. One that no server takes is an error, and nothing is written.
func (p *PartWriter) Add(i *Item) error {
	if err := i.check(); err != nil {
		return fmt.Errorf("item %.100q: %w", i.Key, err)
	}
	start := len(p.buf)
	p.buf = i.appendHead(p.buf)
	head := len(p.buf)
	if len(i.Value) < copySize {
		p.buf = append(p.buf, i.Value...)
		setSum(p.buf[start:], crc32.Checksum(p.buf[start+sumDigits+1:], p.table))
	} else {
		setSum(p.buf[start:], crc32.Update(crc32.Checksum(p.buf[start+sumDigits+1:head], p.table), p.table, i.Value))
		if err := p.write(i.Value); err != nil {
			return err
		}
	}
	p.buf = append(p.buf, '\n')
	p.made.Items++
	p.made.Bytes += int64(len(i.Value))
	p.made.Sizes[RoundSize(i.Size)]++
	if len(p.buf) >= writeSize {
		return p.write(nil)
	}
	return nil
}

// Full tells that the next item belongs into another part.
func (p *PartWriter) Full() bool { return p.made.Size+int64(len(p.buf)) >= PartSize }

// Close ends the part.
func (p *PartWriter) Close() error {
	p.buf = fmt.Appendf(p.buf, "end %d %d\n", p.made.Items, p.made.Bytes)
	err := errors.Join(p.write(nil), p.file.Close())
	p.buf = nil
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.w.parts[p.band][p.part] = p.made
	return err
}

// Finish writes cache.json: c with the parts and sums as they were written, and one Band of c for each. All
// parts are closed. The directory is no cache's content before, and not after an error.
func (w *Writer) Finish(c Cache) (*Cache, error) {
	c.Interlock, c.Format, c.ID = "cache", Format, w.id
	c.Counts.Items, c.Counts.Bytes = 0, 0
	if len(c.Bands) != len(w.parts) {
		return nil, fmt.Errorf("%d bands described, expected %d", len(c.Bands), len(w.parts))
	}
	for b := range c.Bands {
		c.Bands[b].Parts = w.parts[b]
		for _, p := range w.parts[b] {
			c.Counts.Items, c.Counts.Bytes = c.Counts.Items+p.Items, c.Counts.Bytes+p.Bytes
		}
	}
	raw, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		return nil, fmt.Errorf("cannot write %s: %w", indexName, err)
	}
	if err := w.root.WriteFile(indexName+".new", raw, 0o600); err != nil {
		return nil, fmt.Errorf("cannot write the cache's content: %w", err)
	}
	breakpoint.At("warm:index")
	if err := w.root.Rename(indexName+".new", indexName); err != nil {
		return nil, fmt.Errorf("cannot write the cache's content: %w", err)
	}
	return &c, nil
}

// Discard removes what was written, so that another tree can be begun there. No part is open.
func (w *Writer) Discard() error {
	var errs []error
	for b := range w.parts {
		errs = append(errs, w.root.RemoveAll(bandName(b)))
	}
	if err := errors.Join(errs...); err != nil {
		return errors.Join(fmt.Errorf("cannot remove the cache's content: %w", err), w.root.Close())
	}
	return w.root.Close()
}

// Close frees the directory.
func (w *Writer) Close() error { return w.root.Close() }
