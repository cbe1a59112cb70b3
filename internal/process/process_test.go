package process_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/process"
)

func TestParse(t *testing.T) {
	const rest = " 7 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 THREADS 0 4711 0 0"
	for _, c := range []struct {
		name, state, threads string
		ended                bool
	}{
		{"sleep", "S", "1", false},
		{") R 1 (", "D", "3", false},
		{"last thread", "Z", "1", true},
		{"reaped", "X", "0", true},
		{"first thread alone is dead", "Z", "2", false},
	} {
		s, err := process.Parse([]byte("12 (" + c.name + ") " + c.state + strings.Replace(rest, "THREADS", c.threads, 1) + "\n"))
		if err != nil || s.State != c.state[0] || s.Parent != 7 || s.Start != "4711" || s.Ended() != c.ended {
			t.Errorf("%+v: %+v, ended %v, %v", c, s, s.Ended(), err)
		}
	}
	for _, text := range []string{"", "12", "12 (x) S 1 2", "12 (x) SS" + rest, "12 (x) S" + rest} {
		if s, err := process.Parse([]byte(text)); err == nil {
			t.Errorf("%q: %+v", text, s)
		}
	}
}

func TestRead(t *testing.T) {
	s, err := process.Read(os.Getpid())
	if err != nil || s.Parent != os.Getppid() || s.Ended() || s.Threads < 1 {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := process.Read(1 << 30); !errors.Is(err, unix.ENOENT) {
		t.Errorf("nobody: %+v, %v", s, err)
	}
}
