package memcached

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// A Status is the kind of a reply.
type Status uint8

// Kinds of replies.
const (
	Done    Status = iota + 1 // HD: as asked, without a value
	Value                     // VA: with a value
	Absent                    // EN, NF: no such item
	Exists                    // NS, EX: there already, or another one
	End                       // MN: to SendNoop
	Refused                   // an error line; see Err
)

// A Reply is one answer. It may be used again: Value keeps its memory.
type Reply struct {
	Status Status
	Err    *Refusal // of Refused
	Value  []byte
	Size   int    // of the value, also of one that was passed over because it is longer than Options.MaxValue
	Flags  uint64 // the client's
	Left   int64  // seconds of life; -1: for ever
	CAS    uint64
	Stale  bool // X: a client has marked it as out of date
	Won    bool // W: this reader is the one who shall refill it
}

// Read takes the next reply.
func (c *Conn) Read(r *Reply) error {
	own := r.Value[:0]
	err := c.Borrow(r)
	r.Value = append(own, r.Value...)
	return err
}

// Borrow is Read without a copy: Value is valid until the next reply is taken.
func (c *Conn) Borrow(r *Reply) error {
	*r = Reply{}
	line, err := c.readLine()
	if err == nil {
		err = r.parse(line)
	}
	if err == nil && r.Status == Value {
		err = c.readValue(r)
	}
	return c.fail(err)
}

func (r *Reply) parse(line []byte) error {
	word, rest, _ := bytes.Cut(line, []byte{' '})
	switch string(word) {
	case "HD":
		r.Status = Done
	case "VA":
		r.Status = Value
		size, after, _ := bytes.Cut(rest, []byte{' '})
		n, ok := number(size)
		if !ok || n > 1<<30 {
			return fmt.Errorf("%w: %q, expected VA and a size", ErrProtocol, line)
		}
		r.Size, rest = int(n), after
	case "EN", "NF":
		r.Status = Absent
	case "NS", "EX":
		r.Status = Exists
	case "MN":
		r.Status = End
	default:
		if r.Err = refusal(string(line)); r.Err == nil {
			return fmt.Errorf("%w: %.100q", ErrProtocol, line)
		}
		r.Status = Refused
		return nil
	}
	return r.tokens(rest)
}

// tokens reads the flags of a reply, of which the first byte says what each is.
func (r *Reply) tokens(rest []byte) error {
	for len(rest) > 0 {
		var word []byte
		word, rest, _ = bytes.Cut(rest, []byte{' '})
		if len(word) == 0 {
			continue
		}
		ok := true
		switch word[0] {
		case 'f':
			r.Flags, ok = number(word[1:])
		case 'c':
			r.CAS, ok = number(word[1:])
		case 't':
			r.Left, ok = left(word[1:])
		case 'W':
			r.Won = true
		case 'X':
			r.Stale = true
		}
		if !ok {
			return fmt.Errorf("%w: token %.100q", ErrProtocol, word)
		}
	}
	return nil
}

func left(word []byte) (int64, bool) {
	if string(word) == "-1" {
		return -1, true
	}
	n, ok := number(word)
	return int64(n), ok && n < 1<<40
}

// number is strconv.ParseUint without making a string.
func number(digits []byte) (n uint64, ok bool) {
	if len(digits) == 0 || len(digits) > 19 {
		if len(digits) != 20 {
			return 0, false
		}
		n, err := strconv.ParseUint(string(digits), 10, 64)
		return n, err == nil
	}
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = n*10 + uint64(d-'0')
	}
	return n, true
}

// readValue takes the bytes after a VA line. A value over the limit is passed over: the stream stays in step.
func (c *Conn) readValue(r *Reply) error {
	switch {
	case r.Size > c.max:
		if _, err := c.r.Discard(r.Size); err != nil {
			return lost(err)
		}
	case r.Size+2 > c.r.Size():
		c.large = slices.Grow(c.large[:0], r.Size)[:r.Size]
		if _, err := io.ReadFull(c.r, c.large); err != nil {
			return lost(err)
		}
		r.Value = c.large
	default:
		text, err := c.peek(r.Size + 2)
		if err != nil {
			return err
		}
		r.Value = text[:r.Size:r.Size]
		return endValue(text[r.Size:], r.Size)
	}
	text, err := c.peek(2)
	if err != nil {
		return err
	}
	return endValue(text, r.Size)
}

// peek takes n bytes, valid until the next read.
func (c *Conn) peek(n int) ([]byte, error) {
	text, err := c.r.Peek(n)
	if err != nil {
		return nil, lost(err)
	}
	_, _ = c.r.Discard(n) // they are in the buffer
	return text, nil
}

func endValue(text []byte, size int) error {
	if text[0] != '\r' || text[1] != '\n' {
		return fmt.Errorf("%w: %q after a value of %d bytes", ErrProtocol, text, size)
	}
	return nil
}
