package ordeal

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// An entry is one line of a run's log.
type entry struct {
	at    time.Time
	field map[string]string
}

// entries reads what a run has said so far. What does not parse is the payload's own word.
func entries(text string) []entry {
	var all []entry
	for line := range strings.Lines(text[:strings.LastIndex(text, "\n")+1]) {
		if e, err := parseEntry(strings.TrimSpace(line)); err == nil {
			all = append(all, e)
		}
	}
	return all
}

// parseEntry reads KEY=VALUE pairs, the values quoted where they must be.
func parseEntry(line string) (entry, error) {
	e := entry{field: map[string]string{}}
	for line != "" {
		key, rest, found := strings.Cut(line, "=")
		if !found {
			return e, fmt.Errorf("%q has no value", line)
		}
		value, tail, _ := strings.Cut(rest, " ")
		if quoted, err := strconv.QuotedPrefix(rest); err == nil {
			if value, err = strconv.Unquote(quoted); err != nil {
				return e, err
			}
			tail = strings.TrimPrefix(rest[len(quoted):], " ")
		}
		e.field[key], line = value, tail
	}
	var err error
	e.at, err = time.Parse(time.RFC3339Nano, e.field["time"])
	return e, err
}
