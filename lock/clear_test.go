package lock

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// Who cannot be told by a name is cleared by `unknown` alone, and `unknown` is nobody else's name.
func TestClearNamesEverybody(t *testing.T) {
	nameless := Record{Phase: Running, Token: 9, Holder: "old"}
	between := Record{Phase: Dead, Token: 9, Holder: "old", Node: "a", BootID: "then"}
	for name, c := range map[string]struct {
		found   Record
		foreign bool // another program may have held the lock since the record was written
		fenced  []string
		want    error
	}{
		"a nameless writer":            {found: nameless, fenced: []string{""}, want: ErrNotCovered},
		"a nameless writer as unknown": {found: nameless, fenced: []string{UnknownNode}},
		"a nameless one is owed":       {found: withOwes(between, Owed{Token: 3}), fenced: []string{"a", ""}, want: ErrNotCovered},
		"another program between":      {found: between, foreign: true, fenced: []string{"a"}, want: ErrNotCovered},
		"another program, named":       {found: between, foreign: true, fenced: []string{"a", UnknownNode}},
		"nobody between":               {found: between, fenced: []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, o := beside()
				s.tokens = 100
				s.unbroken = func(Evidence) (bool, error) { return !c.foreign, nil }
				s.put(t, c.found)
				cleared, _, err := Clear(context.Background(), s, o, c.fenced, func(context.Context, Record) error { return nil })
				if !errors.Is(err, c.want) || cleared != (c.want == nil) {
					t.Errorf("cleared %v (%v): expected %v", cleared, err, c.want)
				}
			})
		})
	}
}
