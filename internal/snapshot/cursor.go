package snapshot

import (
	"bytes"
	"encoding/base64"
)

// A cursor reads a line of which the layout is known. Once something is otherwise it is wrong for good,
// and what it gave means nothing.
type cursor struct {
	rest  []byte
	wrong bool
}

// has takes text if it is next.
func (c *cursor) has(text string) bool {
	if len(c.rest) < len(text) || string(c.rest[:len(text)]) != text {
		return false
	}
	c.rest = c.rest[len(text):]
	return true
}

func (c *cursor) want(text string) {
	if !c.has(text) {
		c.wrong = true
	}
}

// plain takes a string of printable ASCII without escapes, and the quote behind it.
func (c *cursor) plain(before string) []byte {
	c.want(before)
	end := bytes.IndexByte(c.rest, '"')
	if c.wrong || end < 0 {
		c.wrong = true
		return nil
	}
	text := c.rest[:end]
	for _, b := range text {
		if b < ' ' || b > '~' || b == '\\' {
			c.wrong = true
			return nil
		}
	}
	c.rest = c.rest[end+1:]
	return text
}

// number takes a whole number of at most 18 digits, as JSON writes it.
func (c *cursor) number(before string) int64 {
	c.want(before)
	n, digits := int64(0), 0
	for digits < len(c.rest) && digits < 19 && c.rest[digits] >= '0' && c.rest[digits] <= '9' {
		n = n*10 + int64(c.rest[digits]-'0')
		digits++
	}
	if digits == 0 || digits == 19 || digits > 1 && c.rest[0] == '0' {
		c.wrong = true
		return 0
	}
	c.rest = c.rest[digits:]
	return n
}

func (c *cursor) time(before string) Time {
	t := Time{c.number(before), c.number(",")}
	c.want("]")
	return t
}

// decodeSums reads hashes end to end; false for what is not base64 of whole hashes.
func decodeSums(coded []byte) ([]Sum, bool) {
	var few [8*len(Sum{}) + 3]byte
	joined, err := base64.StdEncoding.AppendDecode(few[:0], coded)
	if err != nil || len(joined)%len(Sum{}) != 0 {
		return nil, false
	}
	sums := make([]Sum, len(joined)/len(Sum{}))
	for i := range sums {
		sums[i] = Sum(joined[i*len(Sum{}):])
	}
	return sums, true
}
