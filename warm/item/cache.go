package item

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
)

// Format is of the tree; a reader refuses every other.
const Format = 1

const (
	indexName = "cache.json"
	maxIndex  = 32 << 20
	maxBands  = 64
)

// A Cache is cache.json: what was dumped, and where it lies.
type Cache struct {
	Interlock string `json:"interlock"` // "cache"
	Format    int    `json:"format"`
	ID        string `json:"id"` // of the dump, random
	Source    Source `json:"source"`
	Began     int64  `json:"began"` // seconds since 1970, by the dumping host
	Ended     int64  `json:"ended"`
	Cut       string `json:"cut,omitempty"` // why only the hottest items are here; empty: all
	Counts    Counts `json:"counts"`
	Bands     []Band `json:"bands"` // hottest first

	files fs.FS
	close func() error
}

// A Source says which server it was.
type Source struct {
	Server  string `json:"server"`
	Version string `json:"version"`
	Listing string `json:"listing"` // hash, or all: that one may miss some of the hottest
	Skew    int64  `json:"skew"`    // seconds that the server's clock was ahead of the host's
	Memory  int64  `json:"memory"`  // bytes that the server may take
}

// Counts say what became of all that the server listed.
type Counts struct {
	Listed      int64 `json:"listed"`
	Items       int64 `json:"items"`       // are here
	Bytes       int64 `json:"bytes"`       // of their values
	Expired     int64 `json:"expired"`     // between the listing and the reading, or at their end then
	Gone        int64 `json:"gone"`        // deleted or evicted meanwhile
	Unreachable int64 `json:"unreachable"` // keys that the text protocol cannot name
	TooLarge    int64 `json:"too_large"`   // values over the limit of the dump
	WideFlags   int64 `json:"wide_flags"`  // client flags over 32 bits, which few servers take
	Stale       int64 `json:"stale"`       // marked out of date by a client
	TokensLost  int64 `json:"tokens_lost"` // of stale items, taken and not given back
	TornLines   int64 `json:"torn_lines"`  // of the listing
	NotReached  int64 `json:"not_reached"` // left when the dump was cut
	ReadErrors  int64 `json:"read_errors"` // the server refused to give them
	Interrupted int64 `json:"interrupted"` // connections that were lost and made again
}

// A Band is items of about the same hotness.
type Band struct {
	Fetched bool   `json:"fetched"` // all were read at least once
	Access  int64  `json:"access"`  // none was used last before this, as far as the server tells
	Parts   []Part `json:"parts"`
}

// A Part is one file.
type Part struct {
	Size  int64           `json:"size"` // of the file
	Items int64           `json:"items"`
	Bytes int64           `json:"bytes"` // of values
	Sizes map[int64]int64 `json:"sizes"` // items by what they take in the server, rounded up by RoundSize
}

// RoundSize rounds up to one of sixteen steps between powers of two.
func RoundSize(size int64) int64 {
	step := int64(1)
	for size > step*32 {
		step *= 2
	}
	return (size + step - 1) / step * step
}

func bandName(band int) string       { return fmt.Sprintf("band-%02d", band) }
func partName(band, part int) string { return fmt.Sprintf("%s/%04d.items", bandName(band), part) }
func firstLine(id string, band, part int) string {
	return fmt.Sprintf("interlock-cache %d %s %d %d\n", Format, id, band, part)
}

// Open reads a tree's cache.json. ErrNoCache: there is none.
func Open(dir string) (*Cache, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot open the cache's content: %w", err)
	}
	c, err := OpenFS(root.FS(), root.Close)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", dir, err), root.Close())
	}
	return c, nil
}

// OpenFS is Open for files that lie elsewhere. Close calls close, unless OpenFS fails.
func OpenFS(files fs.FS, close func() error) (*Cache, error) {
	c := &Cache{files: files, close: close}
	if err := c.read(); err != nil {
		return nil, fmt.Errorf("%s: %w", indexName, err)
	}
	return c, nil
}

// Close frees the files.
func (c *Cache) Close() error { return c.close() }

func (c *Cache) read() error {
	raw, err := c.readIndex()
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: a dump that did not end, or something else", ErrNoCache)
	}
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if err := dec.Decode(c); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return c.check()
}

func (c *Cache) readIndex() ([]byte, error) {
	f, err := openRegular(c.files, indexName)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxIndex+1))
	if err == nil && len(raw) > maxIndex {
		err = fmt.Errorf("%w: over %d bytes", ErrDamaged, maxIndex)
	}
	return raw, errors.Join(err, f.Close())
}

// openRegular opens no pipe and no device, which would block.
func openRegular(files fs.FS, name string) (fs.File, error) {
	info, err := fs.Lstat(files, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is no regular file", ErrDamaged, name)
	}
	return files.Open(name)
}

// check refuses what no writer made: everything that a loader computes with.
func (c *Cache) check() error {
	if c.Interlock != "cache" || c.Format != Format {
		return fmt.Errorf("%w: %.40q of format %d, expected a cache of format %d", ErrDamaged, c.Interlock, c.Format, Format)
	}
	if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(c.ID) || len(c.Bands) > maxBands {
		return fmt.Errorf("%w: id %.40q, %d bands", ErrDamaged, c.ID, len(c.Bands))
	}
	var items, size int64
	for b, band := range c.Bands {
		for p, part := range band.Parts {
			if err := part.check(); err != nil {
				return fmt.Errorf("%w: %s: %w", ErrDamaged, partName(b, p), err)
			}
			items, size = items+part.Items, size+part.Bytes
		}
	}
	if items != c.Counts.Items || size != c.Counts.Bytes {
		return fmt.Errorf("%w: %d items of %d bytes in parts, %d of %d in all", ErrDamaged, items, size, c.Counts.Items, c.Counts.Bytes)
	}
	return nil
}

func (p Part) check() error {
	const most = 1 << 50
	if p.Size < 0 || p.Size > most || p.Items < 0 || p.Items > most || p.Bytes < 0 || p.Bytes > most {
		return fmt.Errorf("size %d, %d items, %d bytes: out of range", p.Size, p.Items, p.Bytes)
	}
	var items int64
	for size, n := range p.Sizes {
		if size < 0 || size > 4*maxValue || n < 0 || n > p.Items {
			return fmt.Errorf("%d items of %d bytes: out of range", n, size)
		}
		items += n
	}
	if items != p.Items {
		return fmt.Errorf("sizes of %d items, expected %d", items, p.Items)
	}
	return nil
}
