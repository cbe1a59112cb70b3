package item

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"strconv"

	"github.com/interlock-run/interlock/warm/memcached"
)

// What callers branch on.
var (
	ErrDamaged = errors.New("damaged")            // not what was written
	ErrNoCache = errors.New("no cache's content") // no cache.json there
)

const (
	maxValue = 1 << 30 // the most that a server can be told to take
	maxLine  = 1 << 10
	maxTime  = 1 << 45
)

// An Item is one key with all that is kept of it.
type Item struct {
	Key     []byte
	Value   []byte
	Flags   uint32 // the client's
	Expires int64  // milliseconds since 1970, UTC; 0: never
	Access  int64  // the last one, seconds since 1970, not exact
	Fetched bool   // read at least once
	Size    int64  // in the server, with all around it
}

// check tells whether a server can be sent this.
func (i *Item) check() error {
	switch err := memcached.CheckKey(i.Key); {
	case err != nil:
		return err
	case len(i.Value) > maxValue:
		return fmt.Errorf("value of %d bytes, expected at most %d", len(i.Value), maxValue)
	case i.Expires < 0 || i.Expires > maxTime || i.Access < 0 || i.Access > maxTime || i.Size < 0 || i.Size > 2*maxValue:
		return fmt.Errorf("expires %d, access %d, size %d: out of range", i.Expires, i.Access, i.Size)
	}
	return nil
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) } // made once, by the library

const hexDigits = "0123456789ABCDEF"

// appendLine appends the line before the value, with its CRC.
func (i *Item) appendLine(to []byte, table *crc32.Table) []byte {
	start := len(to)
	to = append(to, "00000000 "...)
	to = appendKey(to, i.Key)
	to = strconv.AppendUint(append(to, ' '), uint64(i.Flags), 10)
	to = strconv.AppendInt(append(to, ' '), i.Expires, 10)
	to = strconv.AppendInt(append(to, ' '), i.Access, 10)
	if i.Fetched {
		to = append(to, " 1 "...)
	} else {
		to = append(to, " 0 "...)
	}
	to = strconv.AppendInt(to, i.Size, 10)
	to = strconv.AppendInt(append(to, ' '), int64(len(i.Value)), 10)
	to = append(to, '\n')
	sum := crc32.Update(crc32.Checksum(to[start+9:], table), table, i.Value)
	for d := range 8 {
		to[start+d] = hexDigits[sum>>(28-4*d)&15]
	}
	return to
}

func appendKey(to, key []byte) []byte {
	for _, b := range key {
		if b > ' ' && b < 0x7f && b != '%' {
			to = append(to, b)
		} else {
			to = append(to, '%', hexDigits[b>>4], hexDigits[b&15])
		}
	}
	return to
}

// parseLine reads what appendLine wrote. It gives the CRC and the length of the value.
func (i *Item) parseLine(line []byte) (sum uint32, length int64, err error) {
	var fields [8][]byte
	rest, found := bytes.TrimSuffix(line, []byte{'\n'}), true
	for f := range fields {
		if !found {
			return 0, 0, oddLine(line)
		}
		fields[f], rest, found = bytes.Cut(rest, []byte{' '})
	}
	sum, ok := parseSum(fields[0])
	*i = Item{Key: i.Key[:0], Value: i.Value[:0]}
	i.Key, err = parseKey(i.Key, fields[1])
	var numbers [6]int64
	for n := range numbers {
		var fine bool
		numbers[n], fine = parseNumber(fields[n+2])
		ok = ok && fine
	}
	if found || !ok || err != nil || numbers[0] > math.MaxUint32 || numbers[3] > 1 || numbers[5] > maxValue {
		return 0, 0, oddLine(line)
	}
	i.Flags, i.Expires, i.Access, i.Fetched, i.Size = uint32(numbers[0]), numbers[1], numbers[2], numbers[3] == 1, numbers[4]
	return sum, numbers[5], nil
}

func oddLine(line []byte) error { return fmt.Errorf("%w: line %.100q", ErrDamaged, line) }

func parseSum(digits []byte) (sum uint32, ok bool) {
	if len(digits) != 8 {
		return 0, false
	}
	for _, d := range digits {
		v, ok := nibble(d)
		if !ok {
			return 0, false
		}
		sum = sum<<4 | uint32(v)
	}
	return sum, true
}

func parseKey(to, text []byte) ([]byte, error) {
	for n := 0; n < len(text); n++ {
		if text[n] != '%' {
			to = append(to, text[n])
			continue
		}
		if n+2 >= len(text) {
			return to, ErrDamaged
		}
		high, ok := nibble(text[n+1])
		low, ok2 := nibble(text[n+2])
		if !ok || !ok2 {
			return to, ErrDamaged
		}
		to, n = append(to, high<<4|low), n+2
	}
	return to, nil
}

func nibble(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

func parseNumber(digits []byte) (n int64, ok bool) {
	if len(digits) == 0 || len(digits) > 15 {
		return 0, false
	}
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = n*10 + int64(d-'0')
	}
	return n, true
}
