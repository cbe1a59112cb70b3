package memcached

import (
	"errors"
	"fmt"
	"strings"
)

// What callers branch on.
var (
	ErrLost        = errors.New("connection lost")             // closed, reset, or silent beyond the deadline
	ErrBinaryOnly  = errors.New("speaks only the binary form") // no listing there: it can never be dumped
	ErrAuth        = errors.New("not authenticated")           // credentials missing or refused
	ErrTLS         = errors.New("no trust")                    // a certificate that is refused, or a server without TLS
	ErrProtocol    = errors.New("an answer out of place")      // not memcached, or a stream out of step
	ErrOutOfMemory = errors.New("out of memory")               // SERVER_ERROR: the item was not stored
	ErrTooLarge    = errors.New("object too large")            // SERVER_ERROR: the item was not stored
	ErrServer      = errors.New("server error")                // any other SERVER_ERROR
	ErrClient      = errors.New("refused as malformed")        // CLIENT_ERROR
	ErrUnknown     = errors.New("unknown command")             // ERROR
	ErrKey         = errors.New("no key that can be sent")     // empty, too long, or too long once encoded
	ErrExpired     = errors.New("its time is over")
)

// A Refusal is an error line of the server; errors.Is tells which.
type Refusal struct {
	Kind error  // one of the values above
	Text string // the line as it came
}

// Error is the line, quoted.
func (r *Refusal) Error() string { return fmt.Sprintf("%v: the server says %q", r.Kind, r.Text) }

// Unwrap gives the kind.
func (r *Refusal) Unwrap() error { return r.Kind }

// refusal reads an error line; nil for any other.
func refusal(line string) *Refusal {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "ERROR", "BUSY", "BADCLASS":
		return &Refusal{ErrUnknown, line}
	case "CLIENT_ERROR":
		if rest == "unauthenticated" || rest == "authentication failure" {
			return &Refusal{ErrAuth, line}
		}
		return &Refusal{ErrClient, line}
	case "SERVER_ERROR":
		return &Refusal{serverError(rest), line}
	}
	return nil
}

func serverError(text string) error {
	text = strings.ToLower(text) // "Out of memory during read" of a large item, "out of memory storing object" of others
	switch {
	case strings.HasPrefix(text, "out of memory"):
		return ErrOutOfMemory
	case strings.HasPrefix(text, "object too large"):
		return ErrTooLarge
	}
	return ErrServer
}
