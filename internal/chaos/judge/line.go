// Package judge decides from the log of the payloads alone whether two holders overlapped.
//
// Promise: it fails on two intervals of different tokens that intersect, on a begin with a token that is
// not above all before, on a line of an older token after the begin of a younger, on one token in two
// process trees, and on every line that it cannot read: nothing is skipped in silence. Non-promise: it
// sees only what the payloads wrote; effects of theirs that are still in flight are the register's matter.
// It is pure and imports the standard library only: nothing that it judges. Called by the chaos suite and
// by `check`.
package judge

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// A Line is one moment of a payload's life.
type Line struct {
	N     int           // its number in the log, from 1
	At    time.Duration // CLOCK_BOOTTIME
	Boot  string
	Token uint64
	Host  string // the contender and its start
	PID   int
	Event string // begin, join, tick, end, rejected
}

// each reads a log line by line; what cannot be read goes to bad.
func each(r io.Reader, line func(Line), bad func(Violation)) error {
	in := bufio.NewReaderSize(r, 1<<16)
	for n := 1; ; n++ {
		text, err := in.ReadString('\n')
		if err == io.EOF && text == "" {
			return nil
		}
		if err != nil && err != io.EOF {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if err == io.EOF {
			bad(violation(Garbled, n, "line %d has no end: %q", n, clip(text)))
			return nil
		}
		l, err := parse(strings.TrimSuffix(text, "\n"))
		if err != nil {
			bad(violation(Garbled, n, "line %d: %v", n, err))
			continue
		}
		l.N = n
		line(l)
	}
}

func parse(text string) (Line, error) {
	f := strings.Split(text, " ")
	if len(f) != 6 {
		return Line{}, fmt.Errorf("%q has %d fields: expected boot_ns boot_id token host pid event", clip(text), len(f))
	}
	at, err1 := strconv.ParseInt(f[0], 10, 64)
	token, err2 := strconv.ParseUint(f[2], 10, 64)
	pid, err3 := strconv.Atoi(f[4])
	if err1 != nil || err2 != nil || err3 != nil || at <= 0 || token == 0 || pid <= 0 || f[1] == "" || f[3] == "" {
		return Line{}, fmt.Errorf("%q does not parse", clip(text))
	}
	switch f[5] {
	case "begin", "join", "tick", "end", "rejected":
		return Line{At: time.Duration(at), Boot: strings.Clone(f[1]), Token: token, Host: strings.Clone(f[3]), PID: pid, Event: f[5]}, nil
	}
	return Line{}, fmt.Errorf("%q has the unknown event %q", clip(text), f[5])
}

func clip(s string) string {
	if len(s) > 120 {
		return s[:120] + "…"
	}
	return s
}
