package job

import (
	"errors"
	"testing"

	"github.com/interlock-run/interlock/warm/load"
)

// A dump whose items are all over warms nothing: that is no success, and the policy is asked. One that brought
// anything, was stopped for a reason, or holds nothing of ours, is.
func TestUselessLoad(t *testing.T) {
	for want, all := range map[error][]Loaded{
		ErrNothing: {
			{Held: 9, Selected: 9, Counts: load.Counts{Expired: 9}}, {Held: 9, Selected: 5, Counts: load.Counts{TooLarge: 5}},
			{Held: 9, Selected: 9, Counts: load.Counts{Refused: 2, NotOurs: 7}},
		},
		ErrNoRoom: {{Held: 9}},
		nil: {
			{}, {Held: 9, Selected: 9, Counts: load.Counts{Expired: 8, Loaded: 1}}, {Held: 9, Selected: 9, Counts: load.Counts{Expired: 8, Exists: 1}},
			{Held: 9, Selected: 9, Resumed: 1, Counts: load.Counts{Expired: 8}}, {Held: 9, Selected: 9, Counts: load.Counts{NotOurs: 9}},
			{Held: 9, Selected: 9, Stopped: "clients delete items", Counts: load.Counts{Expired: 1}},
		},
	} {
		for _, r := range all {
			if err := r.useless(); !errors.Is(err, want) {
				t.Errorf("%+v: %v, want %v", r, err, want)
			}
		}
	}
}
