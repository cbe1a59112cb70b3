package judge

import (
	"fmt"
	"time"
)

// A Kind says which rule was broken.
type Kind string

// The kinds of violations.
const (
	Overlap  Kind = "overlap"   // two intervals of different tokens intersect
	Backward Kind = "backward"  // a begin with a token that is not above all before
	Late     Kind = "late"      // a line of an older token after the begin of a younger
	TwoTrees Kind = "two-trees" // one token in two process trees
	Garbled  Kind = "garbled"   // torn, unreadable, or against the order of its own process
	Stalled  Kind = "stalled"   // after a stall of the whole tree it ran for longer than the kill budget
)

// A Violation is one broken rule, with the line of the log where it shows.
type Violation struct {
	Kind Kind
	Line int
	At   time.Duration // by the stamp of that line; 0 where it cannot be read
	Text string
}

func (v Violation) String() string { return fmt.Sprintf("%s: %s", v.Kind, v.Text) }

func violation(k Kind, line int, format string, args ...any) Violation {
	return Violation{Kind: k, Line: line, Text: fmt.Sprintf(format, args...)}
}
