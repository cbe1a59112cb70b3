package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Problem is one thing that is wrong with a configuration.
type Problem struct {
	Where string `json:"where"` // file:line key, --flag or INTERLOCK_VARIABLE
	What  string `json:"what"`  // what was found and what was expected
}

func (p Problem) String() string { return p.Where + ": " + p.What }

// Problems is everything that is wrong with a configuration, as one error of one line each.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

func mismatch(found, expected string) string {
	return fmt.Sprintf("found %q: expected %s", shorten(withoutPassword(found)), expected)
}

func shorten(s string) string {
	const most = 120
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

func unknownKey(key string, known []string) string {
	if near := nearest(key, known); near != "" {
		return fmt.Sprintf("unknown key %q: did you mean %s?", shorten(key), near)
	}
	return fmt.Sprintf("unknown key %q: expected one of %s", shorten(key), strings.Join(known, ", "))
}

// nearest is the known word at most two edits away, if there is one.
func nearest(word string, known []string) string {
	best, distance := "", 3
	if len(word) > 64 {
		return ""
	}
	for _, k := range known {
		if d := edits(word, k); d < distance && d < len(k) {
			best, distance = k, d
		}
	}
	return best
}

// edits is the Levenshtein distance of two short words.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// deref is the value behind a field's pointer.
func deref(target any) any {
	switch v := target.(type) {
	case *string:
		return *v
	case *time.Duration:
		return *v
	case *int:
		return *v
	case *bool:
		return *v
	case *[]string:
		return slices.Clone(*v)
	case *[]Mount:
		return slices.Clone(*v)
	}
	return nil
}
