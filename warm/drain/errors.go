package drain

import (
	"errors"
	"fmt"
	"strings"
)

// What callers branch on.
var (
	ErrTorn      = errors.New("the list of keys is torn")             // no end, or lines that are none; try again
	ErrStalled   = errors.New("the reader of the list stalled")       // killed; try again
	ErrBusy      = errors.New("the server cannot list its keys now")  // try again
	ErrForbidden = errors.New("the server does not list its keys")    // -X, or no such command
	ErrLost      = errors.New("connection lost while listing")        // try again
	ErrSpool     = errors.New("cannot write the list of keys")        // no space, most often
	ErrStuck     = errors.New("the reader of the list does not die")  // its disk hangs; no use to try again
	ErrReader    = errors.New("the reader of the list does not work") // could not be started, or failed otherwise
)

// verdict reads the line that the server ended with.
func verdict(line string) error {
	switch {
	case line == "END":
		return nil
	case strings.HasPrefix(line, "BUSY"), strings.HasPrefix(line, "ERROR locked"):
		return fmt.Errorf("%w: it says %q", ErrBusy, line)
	case refuses(line):
		return fmt.Errorf("%w: it says %.100q", ErrForbidden, line)
	}
	return fmt.Errorf("%w: a line %.100q", ErrTorn, line) // the end of one, sent again after a stall
}

func refuses(line string) bool {
	word, _, _ := strings.Cut(line, " ")
	return word == "BADCLASS" || word == "ERROR" || strings.HasSuffix(word, "_ERROR")
}

// kinds gives errors the names by which the reader tells them to its parent.
func kinds() map[string]error {
	return map[string]error{"torn": ErrTorn, "busy": ErrBusy, "forbidden": ErrForbidden, "lost": ErrLost, "spool": ErrSpool}
}
