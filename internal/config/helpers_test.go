package config_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/config"
)

// inputs are those of a machine called host, with flags given as --name value.
func inputs(flags ...string) config.Inputs {
	in := config.Inputs{FileName: "test.yaml", Hostname: "host", PID: 42, Flags: map[string][]string{}}
	for i := 0; i+1 < len(flags); i += 2 {
		name := strings.TrimPrefix(flags[i], "--")
		in.Flags[name] = append(in.Flags[name], flags[i+1])
	}
	return in
}

// problems loads and returns the lines of the error.
func problems(t *testing.T, in config.Inputs) []string {
	t.Helper()
	_, _, err := config.Load(in)
	if err == nil {
		return nil
	}
	list, is := errors.AsType[config.Problems](err)
	if !is {
		t.Fatalf("error is %T", err)
	}
	var lines []string
	for _, p := range list {
		lines = append(lines, p.String())
	}
	return lines
}

// expectProblems wants exactly one problem for each of want, in order, that contains all its parts,
// which are separated by " … ".
func expectProblems(t *testing.T, in config.Inputs, want ...string) {
	t.Helper()
	got := problems(t, in)
	if len(got) != len(want) {
		t.Fatalf("got %d problems, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i := range want {
		for _, part := range strings.Split(want[i], " … ") {
			if !strings.Contains(got[i], part) {
				t.Errorf("got  %s\nwant %s", got[i], part)
			}
		}
	}
}
