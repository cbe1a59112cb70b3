package backup

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// tailKept is how much of a stream's end is kept: trailers are shorter.
const tailKept = 2 << 10

// A tail is the last bytes of a stream.
type tail struct{ last []byte }

func (t *tail) add(b []byte) {
	if len(b) >= tailKept {
		t.last = append(t.last[:0], b[len(b)-tailKept:]...)
		return
	}
	t.last = append(t.last, b...)
	if extra := len(t.last) - tailKept; extra > 0 {
		t.last = append(t.last[:0], t.last[extra:]...)
	}
}

func (t *tail) bytes() []byte { return t.last }

// A trailer judges the last bytes of a stream of so many.
type trailer func(tail []byte, total int64) error

// endsWithLine wants one of the last lines to begin with a text.
func endsWithLine(text string, within int) trailer {
	return func(tail []byte, _ int64) error {
		lines := bytes.Split(bytes.TrimRight(tail, "\r\n"), []byte("\n"))
		for _, line := range lines[max(0, len(lines)-within):] {
			if bytes.HasPrefix(line, []byte(text)) {
				return nil
			}
		}
		return fmt.Errorf("the dump is cut off: expected a line %q at its end, found %.100q (options that drop comments drop it too)", text, lines[len(lines)-1])
	}
}

// tarEnds wants the two empty blocks that end a tar.
func tarEnds(tail []byte, total int64) error {
	const block = 512
	if len(tail) < 2*block || total%block != 0 || len(bytes.Trim(tail[len(tail)-2*block:], "\x00")) > 0 {
		return fmt.Errorf("the tar is cut off at %d bytes: expected whole blocks of %d, and two empty ones at its end", total, block)
	}
	return nil
}

// xbstreamEnds wants the last chunk to be the end of a file: magic, flags, type, length of the path, path.
func xbstreamEnds(tail []byte, total int64) error {
	const magic = "XBSTCK01"
	at := bytes.LastIndex(tail, []byte(magic))
	if at >= 0 {
		last := tail[at+len(magic):]
		if len(last) >= 6 && last[1] == 'E' && uint64(len(last)) == 6+uint64(binary.LittleEndian.Uint32(last[2:])) {
			return nil
		}
	}
	return fmt.Errorf("the xbstream is cut off at %d bytes: expected the end of a file at its end", total)
}
