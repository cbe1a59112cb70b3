// Package mutations breaks one rule of docs/protocol.md after the other in a binary built for it, and shows
// that the judge of the chaos suite sees it.
//
// Promise: each scenario runs on the same binary without the mutation first, and nothing is found; with it,
// what the table says is found. Each mutation in the product has a scenario, and docs/protocol-trace.md
// lists them. Non-promise: that a rule which no mutation names is kept. Tests only.
package mutations

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/chaos/judge"
	"github.com/interlock-run/interlock/internal/testkit"
)

// TestMain lets more tests run side by side than there are processors: they wait for most of their time.
func TestMain(m *testing.M) { testkit.MainWaiting(m, 4+2*runtime.NumCPU()) }

// tries is how often a scenario may not come about on a busy machine, or a broken binary be lucky. What the
// judge finds on a whole one is never tried again.
const tries = 3

// TestMutations plays each scenario twice or more.
func TestMutations(t *testing.T) {
	testkit.MutateBinary(t) // compiled before anything is timed
	_, err := payload()
	must(t, err)
	all := scenarios()
	slices.SortStableFunc(all, func(a, b scenario) int { return len(b.redundant) - len(a.redundant) }) // the long ones first
	for _, s := range all {
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

// green plays until the scenario has come about; nothing may be found, in any try.
func (s scenario) green(t *testing.T, broken string) {
	s.attempt(t, broken, func(t *testing.T, v judge.Verdict, err error) bool {
		if found := s.found(v); err == nil && len(found) > 0 || len(v.Violations) > 0 {
			t.Errorf("with %q broken: %v", broken, found)
		}
		return t.Failed() || err == nil && len(v.Tenures) >= s.tenures
	})
}

// red plays until the judge finds it.
func (s scenario) red(t *testing.T) {
	s.attempt(t, s.breaks, func(_ *testing.T, v judge.Verdict, err error) bool {
		if s.shows == died && err != nil { // it may have been our own doing
			return false
		}
		return slices.ContainsFunc(s.found(v), func(v judge.Violation) bool { return v.Kind == s.shows })
	})
}

// attempt plays until it is done with what came of it.
func (s scenario) attempt(t *testing.T, broken string, done func(*testing.T, judge.Verdict, error) bool) {
	t.Helper()
	for i := range tries {
		over := false
		t.Run(fmt.Sprint(i+1), func(t *testing.T) {
			v, err := s.once(t, broken)
			over = done(t, v, err)
			t.Logf("broken %q: %d tenures, found %v; %v", broken, len(v.Tenures), s.found(v), err)
		})
		if over {
			return
		}
	}
	t.Errorf("broken %q: %d tries and the scenario showed nothing (expected %s, once broken), see the log", broken, tries, s.shows)
}

func (s scenario) once(t *testing.T, broken string) (judge.Verdict, error) {
	f := newField(t, broken, s.open)
	f.clocks = s.clocks
	played := s.play(f)
	v, err := f.verdict()
	return v, errors.Join(played, err)
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
