package drain

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"time"

	"github.com/klauspost/compress/s2"

	"github.com/interlock-run/interlock/warm/memcached"
)

// A Spool is a whole list of keys. It can be read any number of times.
type Spool struct {
	Bytes int64         // of the list as the server sent it
	Took  time.Duration // for the server to say it
	file  *os.File
}

// Close frees its space.
func (s *Spool) Close() error { return s.file.Close() }

// An Entry is what the server tells of one item.
type Entry struct {
	Key     []byte // valid until the next entry
	Expires int64  // by the server's clock; -1: never
	Access  int64  // the last one, by the server's clock, not exact
	Fetched bool   // read at least once
	Size    int64
}

// Entries gives all of them. A line that is none comes as ErrTorn, and going on passes over it; any other
// error ends the list.
func (s *Spool) Entries() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		lines(io.NewSectionReader(s.file, 0, math.MaxInt64), yield)
	}
}

// lines reads what the child wrote.
func lines(from io.Reader, yield func(Entry, error) bool) {
	r := bufio.NewReaderSize(s2.NewReader(from, s2.ReaderMaxBlockSize(block), s2.ReaderAllocBlock(block)), 64<<10)
	var e Entry
	for {
		line, err := r.ReadSlice('\n')
		switch {
		case err == io.EOF:
			yield(e, fmt.Errorf("%w: it ends without END", ErrTorn))
			return
		case err != nil:
			yield(e, fmt.Errorf("cannot read the list of keys again: %w", err))
			return
		case string(line) == "END\r\n":
			return
		case string(line) == "OK\r\n":
			continue
		}
		err = e.parse(line)
		if !yield(e, err) {
			return
		}
	}
}

// parse reads a line by the names in it: versions differ in what they tell and in which order.
func (e *Entry) parse(line []byte) error {
	*e = Entry{Key: e.Key[:0]}
	seen := 0
	for rest := bytes.TrimRight(line, "\r\n "); len(rest) > 0; {
		word := rest
		if end := bytes.IndexByte(rest, ' '); end < 0 {
			rest = nil
		} else {
			word, rest = rest[:end], rest[end+1:]
		}
		equals := bytes.IndexByte(word, '=')
		if equals < 0 {
			return torn(line)
		}
		value, ok := word[equals+1:], true
		switch string(word[:equals]) {
		case "key":
			if len(e.Key) > 0 {
				return torn(line) // two lines grown together
			}
			e.Key, ok = unescape(e.Key, value)
		case "exp":
			e.Expires, ok = signed(value)
		case "la":
			e.Access, ok = signed(value)
		case "fetch":
			e.Fetched = string(value) == "yes"
			ok = e.Fetched || string(value) == "no"
		case "size":
			e.Size, ok = signed(value)
		default:
			continue
		}
		if !ok {
			return torn(line)
		}
		seen++
	}
	if seen != 5 || e.Size < 0 || e.Access < 0 || e.Expires < -1 {
		return torn(line)
	}
	return nil
}

func torn(line []byte) error { return fmt.Errorf("%w: a line %.100q", ErrTorn, line) }

// signed reads a decimal number of at most 18 digits.
func signed(digits []byte) (n int64, ok bool) {
	rest, negative := digits, len(digits) > 0 && digits[0] == '-'
	if negative {
		rest = digits[1:]
	}
	if len(rest) == 0 || len(rest) > 18 {
		return 0, false
	}
	for _, d := range rest {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = n*10 + int64(d-'0')
	}
	if negative {
		n = -n
	}
	return n, true
}

// unescape decodes a key: every byte but letters, digits and -._~ comes as % and two digits.
func unescape(key, value []byte) ([]byte, bool) {
	if bytes.IndexByte(value, '%') < 0 {
		return append(key, value...), len(value) > 0 && len(value) <= memcached.MaxKey
	}
	for i := 0; i < len(value); i++ {
		if value[i] != '%' {
			key = append(key, value[i])
			continue
		}
		if i+2 >= len(value) {
			return key, false
		}
		high, ok := nibble(value[i+1])
		low, ok2 := nibble(value[i+2])
		if !ok || !ok2 {
			return key, false
		}
		key = append(key, high<<4|low)
		i += 2
	}
	return key, len(key) > 0 && len(key) <= memcached.MaxKey
}

func nibble(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}
