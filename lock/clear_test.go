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

// What nobody's word can make true: that this machine was fenced since it came up, or that a lock service
// that counts from the start again is the one of the record.
func TestClearRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		found  Record
		fenced []string
		want   error
	}{
		"this boot":         {Record{Phase: Running, Token: 9, Node: "a", BootID: "b"}, []string{"a"}, ErrNotCovered},
		"this boot is owed": {withOwes(runningOn("a"), Owed{Token: 3, Node: "c", BootID: "b"}), []string{"a", "c"}, ErrNotCovered},
		"a later token":     {Record{Phase: Running, Token: 900, Node: "a", BootID: "x"}, []string{"a"}, ErrTokenBack},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &service{tokens: 100}
				s.put(t, c.found)
				cleared, _, err := Clear(context.Background(), s, options(bubbleClock()), c.fenced, func(context.Context, Record) error {
					t.Error("asked for a confirmation")
					return nil
				})
				if cleared || !errors.Is(err, c.want) {
					t.Errorf("cleared %v (%v): expected %v", cleared, err, c.want)
				}
				if w := s.written(); len(w) != 0 {
					t.Errorf("wrote %+v", w)
				}
			})
		})
	}
}
