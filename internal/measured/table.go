package measured

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// merge takes the rows of a test's output into the table: measured again in their place, new ones at the
// end of their filesystem. What the table allows beside others stays one of them.
func merge(table []Row, output string) ([]Row, error) {
	for line := range strings.Lines(output) {
		_, text, is := strings.Cut(line, mark)
		if !is {
			continue
		}
		found, err := parse(text)
		if err != nil || len(found) != 1 {
			return nil, fmt.Errorf("%q is not one row: %w", strings.TrimSpace(line), err)
		}
		table = found[0].into(table)
	}
	return table, nil
}

func (r Row) into(table []Row) []Row {
	if i := slices.IndexFunc(table, r.same); i >= 0 {
		was := table[i]
		for _, c := range []struct{ was, is *string }{{&was.Finding, &r.Finding}, {&was.Freed, &r.Freed}, {&was.End, &r.End}} {
			if allows(*c.was, *c.is) {
				*c.is = *c.was
			}
		}
		table[i] = r
		return table
	}
	at := len(table)
	for i, other := range table {
		if other.Filesystem == r.Filesystem {
			at = i + 1
		}
	}
	return slices.Insert(table, at, r)
}

// The document holds the table between these.
const (
	tableBegin = "<!-- rows of internal/measured: begin -->\n"
	tableEnd   = "<!-- rows of internal/measured: end -->\n"
)

// intoDocument replaces what is between the marks.
func intoDocument(text string, table []Row) (string, error) {
	head, rest, begun := strings.Cut(text, tableBegin)
	_, tail, ended := strings.Cut(rest, tableEnd)
	if !begun || !ended {
		return "", fmt.Errorf("expected %q and %q", strings.TrimSpace(tableBegin), strings.TrimSpace(tableEnd))
	}
	return head + tableBegin + markdown(table) + tableEnd + tail, nil
}

func markdown(table []Row) string {
	var b strings.Builder
	b.WriteString("| Filesystem | Fault | Finding | after | Policy | Payload dead after | Exit code | Record |\n|---|---|---|---|---|---|---|---|\n")
	last := ""
	for _, r := range table {
		fs := r.Filesystem
		if fs == last {
			fs = ""
		}
		last = r.Filesystem
		end := r.End
		if r.Note != "" {
			end += ": " + r.Note
		}
		fmt.Fprintf(&b, "| %s | %s | `%s` | %s | %s | %s | %d | %s |\n", fs, r.Fault, strings.ReplaceAll(r.Finding, "|", "` or `"), r.Found, cmp.Or(r.Policy, "none"), r.death(), r.Code, end)
	}
	return b.String()
}

// death says how the payload ended: most do not need more than the signals.
func (r Row) death() string {
	switch {
	case r.Policy != "kill":
		return "the run goes on"
	case r.Freed == "":
		return r.Dead.String()
	case r.Freed == "heal":
		return "stuck; " + r.Dead.String() + " after the fault is over"
	}
	return fmt.Sprintf("stuck; %s after %s", r.Dead, strings.ReplaceAll(r.Freed, "|", " or "))
}

func (s Secs) String() string { return fmt.Sprintf("%.1f s", float64(s)) }

// lines is the table as the file has it.
func lines(table []Row) (string, error) {
	var b strings.Builder
	for _, r := range table {
		line, err := json.Marshal(r)
		if err != nil {
			return "", err
		}
		b.Write(append(line, '\n'))
	}
	return b.String(), nil
}
