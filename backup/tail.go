package backup

import (
	"bytes"
	"errors"
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

// endsWithLine wants one of the last lines to begin with a text.
func endsWithLine(text string, within int) func([]byte) error {
	return func(tail []byte) error {
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
func tarEnds(tail []byte) error {
	const end = 1024
	if len(tail) < end || len(bytes.Trim(tail[len(tail)-end:], "\x00")) > 0 {
		return errors.New("the tar is cut off: expected 1024 zero bytes at its end")
	}
	return nil
}
