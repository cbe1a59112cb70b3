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

	maxDigits = 15 // of a number
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

// appendHead appends the line before the value. Its CRC is set later: it covers the value, too.
func (i *Item) appendHead(to []byte) []byte {
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
	return append(to, '\n')
}

// setSum puts a CRC into the head that text begins with.
func setSum(text []byte, sum uint32) {
	for d := range sumDigits {
		text[d] = hexDigits[sum>>(28-4*d)&15]
	}
}

const sumDigits = 8

func appendKey(to, key []byte) []byte {
	if plain(key) {
		return append(to, key...)
	}
	for _, b := range key {
		if b > ' ' && b < 0x7f && b != '%' {
			to = append(to, b)
		} else {
			to = append(to, '%', hexDigits[b>>4], hexDigits[b&15])
		}
	}
	return to
}

func plain(key []byte) bool {
	for _, b := range key {
		if b <= ' ' || b >= 0x7f || b == '%' {
			return false
		}
	}
	return true
}

// parseLine reads what appendHead wrote. It gives the CRC and the length of the value.
func (i *Item) parseLine(line []byte) (sum uint32, length int64, err error) {
	text := bytes.TrimSuffix(line, []byte{'\n'})
	sum, ok := parseSum(text)
	if !ok {
		return 0, 0, oddLine(line)
	}
	*i = Item{Key: i.Key[:0], Value: i.Value[:0]}
	key, rest, _ := bytes.Cut(text[sumDigits+1:], []byte{' '})
	i.Key, err = parseKey(i.Key, key)
	var numbers [6]int64
	for n := range numbers {
		last := n == len(numbers)-1
		if numbers[n], rest, ok = parseNumber(rest, last); !ok {
			return 0, 0, oddLine(line)
		}
	}
	if err != nil || numbers[0] > math.MaxUint32 || numbers[3] > 1 || numbers[5] > maxValue {
		return 0, 0, oddLine(line)
	}
	i.Flags, i.Expires, i.Access, i.Fetched, i.Size = uint32(numbers[0]), numbers[1], numbers[2], numbers[3] == 1, numbers[4]
	return sum, numbers[5], nil
}

func oddLine(line []byte) error { return fmt.Errorf("%w: line %.100q", ErrDamaged, line) }

// parseSum reads the digits that a line begins with, and the blank after them.
func parseSum(line []byte) (sum uint32, ok bool) {
	if len(line) <= sumDigits || line[sumDigits] != ' ' {
		return 0, false
	}
	for _, d := range line[:sumDigits] {
		v, ok := nibble(d)
		if !ok {
			return 0, false
		}
		sum = sum<<4 | uint32(v)
	}
	return sum, true
}

func parseKey(to, text []byte) ([]byte, error) {
	if bytes.IndexByte(text, '%') < 0 {
		return append(to, text...), nil
	}
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

// parseNumber reads a number and the blank after it, or, the last one, up to the end.
func parseNumber(text []byte, last bool) (n int64, rest []byte, ok bool) {
	at := 0
	for ; at < len(text) && at < maxDigits && text[at] >= '0' && text[at] <= '9'; at++ {
		n = n*10 + int64(text[at]-'0')
	}
	switch {
	case at == 0:
		return 0, nil, false
	case last:
		return n, nil, at == len(text)
	}
	return n, text[min(at+1, len(text)):], at < len(text) && text[at] == ' '
}
