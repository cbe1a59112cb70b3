// Package mutations breaks one rule of docs/protocol.md after the other in a binary built for it, and shows
// that the judge of the chaos suite sees it.
//
// Promise: each scenario runs on the same binary without the mutation first, and nothing is found; with it,
// what the table says is found. Each mutation in the product has a scenario, and docs/protocol-trace.md
// lists them. Non-promise: that a rule which no mutation names is kept. Tests only.
package mutations

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/chaos/judge"
	"github.com/interlock-run/interlock/internal/testkit"
)

// TestMain lets more tests run side by side than there are processors: they wait for most of their time.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", "6"); err != nil {
			panic(err)
		}
	}
	testkit.Main(m)
}

// tries is how often a broken binary may be lucky.
const tries = 3

// TestMutations plays each scenario twice or more.
func TestMutations(t *testing.T) {
	testkit.MutateBinary(t) // compiled before anything is timed
	_, err := payload()
	must(t, err)
	for _, s := range scenarios() {
		t.Run(s.name(), func(t *testing.T) {
			t.Parallel()
			for _, whole := range append([]string{""}, s.redundant...) {
				t.Run("whole:"+whole, func(t *testing.T) { s.green(t, whole) })
			}
			if !t.Failed() {
				t.Run("broken", s.red)
			}
		})
	}
}

// green plays once; nothing may be found.
func (s scenario) green(t *testing.T, broken string) {
	v, err := s.once(t, broken)
	must(t, err)
	if found := s.found(v); len(found) > 0 {
		t.Errorf("with %q broken: %v", broken, found)
	}
	if len(v.Tenures) < s.tenures {
		t.Errorf("%d tenures, expected %d: nothing was shown", len(v.Tenures), s.tenures)
	}
}

// red plays until the judge finds it.
func (s scenario) red(t *testing.T) {
	var last string
	for i := range tries {
		hit := false
		t.Run(fmt.Sprint(i+1), func(t *testing.T) {
			v, err := s.once(t, s.breaks)
			found := s.found(v)
			hit = slices.ContainsFunc(found, func(v judge.Violation) bool { return v.Kind == s.shows })
			last = fmt.Sprintf("%v %v", found, err)
			t.Logf("%s: %s", s.breaks, last)
		})
		if hit {
			return
		}
	}
	t.Errorf("%s: the judge found no %s in %d tries; the last one: %s", s.breaks, s.shows, tries, last)
}

func (s scenario) once(t *testing.T, broken string) (judge.Verdict, error) {
	f := newField(t, broken, s.open)
	played := s.play(f)
	v, err := f.verdict(usual())
	if played != nil {
		err = played
	}
	return v, err
}

// died is what a payload is found by that ended though nobody ended it: no line of the log is wrong then,
// one is missing.
const died judge.Kind = "died by itself"

func (s scenario) found(v judge.Verdict) []judge.Violation {
	found := v.Violations
	if s.shows != died {
		return found
	}
	for _, t := range v.Tenures {
		if !t.Ended {
			found = append(found, judge.Violation{Kind: died, Text: fmt.Sprintf("token %d (%s) wrote no end, after %v", t.Token, t.Host, t.Last-t.First)})
		}
	}
	return found
}

func (s scenario) name() string { return strings.ReplaceAll(s.breaks, ",", "+") + "/" + s.on }
