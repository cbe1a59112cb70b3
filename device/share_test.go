package device

import (
	"context"
	"testing"
	"time"
)

// Each of several has an equal part of what is left; the last one, and one alone, has all of it.
func TestShare(t *testing.T) {
	whole, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	end, _ := whole.Deadline()
	for among, want := range map[int]time.Duration{1: time.Hour, 2: 30 * time.Minute, 4: 15 * time.Minute} {
		ctx, cancel := share(whole, among)
		defer cancel()
		got, limited := ctx.Deadline()
		if off := end.Add(want - time.Hour).Sub(got); !limited || off.Abs() > 5*time.Minute {
			t.Errorf("one of %d: until %v before the end, expected %v", among, end.Sub(got), time.Hour-want)
		}
	}
	ctx, cancel := share(context.Background(), 3)
	defer cancel()
	if _, limited := ctx.Deadline(); limited {
		t.Error("a limit out of nothing")
	}
}
