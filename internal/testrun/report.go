package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/interlock-run/interlock/internal/testkit"
)

// printer keeps the lines of families that run side by side apart.
type printer struct {
	mu sync.Mutex
	w  io.Writer
}

func (p *printer) print(line string) { p.block(line, nil) }

func (p *printer) block(head string, text []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// Progress that cannot be written is no reason to stop: the exit code tells.
	_, _ = fmt.Fprintf(p.w, "%s\n%s", head, strings.Join(text, ""))
}

// lineWriter hands over whole lines.
type lineWriter struct {
	to   func(string)
	rest []byte
}

func (l *lineWriter) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 {
			return len(b), nil
		}
		l.to(string(l.rest[:i]))
		l.rest = l.rest[i+1:]
	}
}

// report prints the closing part and returns the number of failures.
func (s *session) report(w io.Writer, results []*result) int {
	var names []string
	var passed, failed, skipped int
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "\nfamily\tminutes\tpassed\tfailed\tskipped")
	for _, r := range results {
		p, f, sk := r.counts()
		names = append(names, r.failedNames()...)
		forbidden := s.forbidden(sk)
		names = append(names, forbidden...)
		f, n := f+len(forbidden), len(sk)-len(forbidden)
		fmt.Fprintf(t, "%s\t%.1f\t%d\t%d\t%d\n", r.name, r.took.Minutes(), p, f, n)
		passed, failed, skipped = passed+p, failed+f, skipped+n
	}
	s.serverTable(t)
	s.problem(t.Flush())
	if !s.race {
		s.noRace(w)
	}
	names = append(names, s.problems...)
	failed += len(s.problems)
	s.closing(w, results, names)
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", passed, failed, skipped)
	return failed
}

func (s *session) noRace(w io.Writer) {
	none := skip{name: "race", test: "race", reason: "gcc is not installed: tests ran without the race detector"}
	fmt.Fprintf(w, "SKIP %s: %s\n", none.name, none.reason)
	s.problems = append(s.problems, s.forbidden([]skip{none})...)
}

func (s *session) forbidden(skips []skip) (names []string) {
	for _, sk := range skips {
		if s.allowed.forbidden(sk) {
			names = append(names, fmt.Sprintf("skip not on .ci/allowed-skips: %v", sk))
		}
	}
	return names
}

func (s *session) closing(w io.Writer, results []*result, failed []string) {
	fmt.Fprintln(w)
	for _, r := range results {
		_, _, skips := r.counts()
		for _, sk := range skips {
			if !s.allowed.forbidden(sk) {
				fmt.Fprintln(w, "skipped", sk)
			}
		}
	}
	for _, name := range failed {
		fmt.Fprintln(w, "FAILED", name)
	}
	if len(failed) > 0 {
		fmt.Fprintln(w, "everything the tests said:", s.logs)
	}
}

// serverTable tells from the tests' own log what ran against what.
func (s *session) serverTable(w io.Writer) {
	tests := map[row]map[string]bool{}
	for line := range strings.Lines(s.servers) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 4 {
			s.problem(fmt.Errorf("%s: found %q: expected four fields", testkit.SkipLogVar, line))
			continue
		}
		at := row{name: f[1], verb: f[0], word: f[2]}
		if tests[at] == nil {
			tests[at] = map[string]bool{}
		}
		tests[at][f[3]] = true
	}
	fmt.Fprintln(w, "\nserver\tversion\ttests\tresult")
	if len(tests) == 0 {
		fmt.Fprintln(w, "none\t-\t0\tno test asked for one")
	}
	for _, at := range slices.SortedFunc(maps.Keys(tests), row.compare) {
		at.print(w, len(tests[at]))
	}
}

// row is one line of the table of servers.
type row struct{ name, verb, word string }

func (a row) compare(b row) int {
	return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.verb, b.verb), cmp.Compare(a.word, b.word))
}

func (a row) print(w io.Writer, tests int) {
	if a.verb == "skip" {
		fmt.Fprintf(w, "%s\t-\t%d\tskipped: %s\n", a.name, tests, a.word)
		return
	}
	fmt.Fprintf(w, "%s\t%s\t%d\trun\n", a.name, a.word, tests)
}
