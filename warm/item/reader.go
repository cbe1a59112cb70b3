package item

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"
)

const readSize = 128 << 10

// A PartReader gives the items of one part.
type PartReader struct {
	name  string
	want  Part
	file  fs.File
	r     *bufio.Reader
	table *crc32.Table
	large []byte // a value that is longer than the buffer of r
	at    int64  // in the file
	seen  Part
	whole bool // from its first item
}

// Part opens a part. An offset other than 0 is one that Offset gave: it goes on from there.
func (c *Cache) Part(band, part int, offset int64) (*PartReader, error) {
	name := partName(band, part)
	f, err := openRegular(c.files, name)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	p := &PartReader{name: name, want: c.Bands[band].Parts[part], file: f, table: castagnoli(), whole: offset == 0}
	if err := p.begin(firstLine(c.ID, band, part), offset); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), f.Close())
	}
	return p, nil
}

func (p *PartReader) begin(first string, offset int64) error {
	info, err := p.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() != p.want.Size || offset < 0 || offset > info.Size() {
		return fmt.Errorf("%w: %d bytes, expected %d; offset %d", ErrDamaged, info.Size(), p.want.Size, offset)
	}
	p.r = bufio.NewReaderSize(p.file, readSize)
	line, err := p.line()
	if err != nil {
		return err
	}
	if string(line) != first {
		return fmt.Errorf("%w: it begins with %.100q, expected %q", ErrDamaged, line, first)
	}
	if offset == 0 {
		return nil
	}
	return p.skip(offset)
}

// skip goes to an offset behind the first line.
func (p *PartReader) skip(offset int64) error {
	if to, can := p.file.(io.Seeker); can {
		if _, err := to.Seek(offset, io.SeekStart); err != nil {
			return err
		}
		p.r.Reset(p.file)
	} else if _, err := io.CopyN(io.Discard, p.r, max(offset-p.at, 0)); err != nil {
		return short(err)
	}
	p.at = offset
	return nil
}

// Close frees the file.
func (p *PartReader) Close() error { return p.file.Close() }

// Offset is where the next item begins.
func (p *PartReader) Offset() int64 { return p.at }

// Next reads an item into i, whose memory is used again; io.EOF after the last one of a part that is as it
// was written.
func (p *PartReader) Next(i *Item) error {
	own := i.Value[:0]
	err := p.Borrow(i)
	i.Value = append(own, i.Value...)
	return err
}

// Borrow is Next without a copy: the value is valid until the next item is read.
func (p *PartReader) Borrow(i *Item) error {
	i.Value = nil
	err := p.next(i)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%s at byte %d: %w", p.name, p.at, err)
	}
	return err
}

func (p *PartReader) next(i *Item) error {
	start := p.at
	line, err := p.line()
	if err != nil {
		return err
	}
	if len(line) > 4 && string(line[:4]) == "end " {
		return p.end(string(line))
	}
	sum, length, err := i.parseLine(line)
	if err != nil {
		p.at = start
		return err
	}
	check := crc32.Checksum(line[sumDigits+1:], p.table)
	if length > p.want.Size-p.at {
		return fmt.Errorf("%w: a value of %d bytes, longer than the part", ErrDamaged, length)
	}
	if err := p.value(i, int(length)); err != nil {
		return err
	}
	if check = crc32.Update(check, p.table, i.Value); check != sum {
		return fmt.Errorf("%w: CRC of item %.100q", ErrDamaged, i.Key)
	}
	if err := i.check(); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	p.seen.Items++
	p.seen.Bytes += length
	return nil
}

// line reads up to a line feed, valid until the next read.
func (p *PartReader) line() ([]byte, error) {
	line, err := p.r.ReadSlice('\n')
	p.at += int64(len(line))
	if err == io.EOF {
		return nil, fmt.Errorf("%w: it ends too early", ErrDamaged)
	}
	if err == bufio.ErrBufferFull || len(line) > maxLine {
		return nil, fmt.Errorf("%w: a line of %d bytes", ErrDamaged, len(line))
	}
	return line, err
}

// value takes the bytes after the line.
func (p *PartReader) value(i *Item, n int) error {
	var end byte
	if n < p.r.Size() {
		text, err := p.r.Peek(n + 1)
		if err != nil {
			return short(err)
		}
		_, _ = p.r.Discard(n + 1) // it is in the buffer
		i.Value, end = text[:n:n], text[n]
	} else {
		p.large = slices.Grow(p.large[:0], n)[:n]
		if _, err := io.ReadFull(p.r, p.large); err != nil {
			return short(err)
		}
		var err error
		if end, err = p.r.ReadByte(); err != nil {
			return short(err)
		}
		i.Value = p.large
	}
	p.at += int64(n) + 1
	if end != '\n' {
		return fmt.Errorf("%w: no line feed after a value", ErrDamaged)
	}
	return nil
}

func short(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: it ends too early", ErrDamaged)
	}
	return err
}

// end checks the last line.
func (p *PartReader) end(line string) error {
	want := fmt.Sprintf("end %d %d\n", p.want.Items, p.want.Bytes)
	if line != want || p.at != p.want.Size {
		return fmt.Errorf("%w: %.60q at byte %d, expected %q at %d", ErrDamaged, line, p.at, want, p.want.Size)
	}
	if p.whole && (p.seen.Items != p.want.Items || p.seen.Bytes != p.want.Bytes) {
		return fmt.Errorf("%w: %d items of %d bytes, expected %d of %d", ErrDamaged, p.seen.Items, p.seen.Bytes, p.want.Items, p.want.Bytes)
	}
	return io.EOF
}
