//go:build mutate

package clock

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]courses{
		"":                               {course{rate: 1}, course{rate: 1}},
		"boot*1.1,raw*0.998":             {course{rate: 1.1}, course{rate: 0.998}},
		"boot+1h@/x,boot*0.9,raw-90s@/y": {course{0.9, time.Hour, "/x"}, course{1, -90 * time.Second, "/y"}},
	} {
		if got, err := parse(text); err != nil || got != want {
			t.Errorf("%q: %v, %v; expected %v", text, got, err, want)
		}
	}
	for _, text := range []string{"wall*1.1", "boot", "boot*", "boot*x", "boot*0", "boot*NaN", "raw+1h", "raw+1h@", "raw1h@/x", "raw+1@/x", "boot+1h@/x,boot+1h@/y", "boot*1.1,"} {
		if got, err := parse(text); err == nil {
			t.Errorf("%q: %v, expected an error", text, got)
		}
	}
}

func TestFollow(t *testing.T) {
	file := filepath.Join(t.TempDir(), "jump")
	c := course{rate: 0.9, jump: -time.Hour, from: file}
	if got := c.follow(10 * time.Hour); got != 9*time.Hour {
		t.Errorf("before the jump %v, expected 9h", got)
	}
	for jumps, want := range []time.Duration{9 * time.Hour, 8 * time.Hour, 7 * time.Hour} {
		if err := os.WriteFile(file, make([]byte, jumps), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := c.follow(10 * time.Hour); got != want {
			t.Errorf("after %d jumps %v, expected %v", jumps, got, want)
		}
	}
}
