package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCompletionScript sources the example into bash beside a stand-in that says how it was called.
func TestCompletionScript(t *testing.T) {
	script, err := filepath.Abs(filepath.Join("..", "..", "examples", "completion.bash"))
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct{ words, calls string }{
		{"interlock ru", "interlock --generate-bash-completion"},
		{"interlock run --stop", "interlock run --stop --generate-bash-completion"},
		{"interlock run --", "interlock run - --generate-bash-completion"},
		{"interlock run --lock x -- mysq", ""},
		{"interlock run -- x -- y --", ""},
	}
	for _, c := range cases {
		const play = `source "$1"; interlock() { echo "interlock $*" >&3; echo --stop-signal; }
			exec 3>&1; COMP_WORDS=($2); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _interlock; echo "${COMPREPLY[0]}" >&2`
		var completed strings.Builder
		cmd := exec.Command("bash", "--norc", "-c", play, "bash", script, c.words)
		cmd.Stderr = &completed
		calls, err := cmd.Output()
		if err != nil {
			t.Fatal(err, completed.String())
		}
		if strings.TrimSpace(string(calls)) != c.calls {
			t.Errorf("%q: called %q, want %q", c.words, calls, c.calls)
		}
		if strings.HasSuffix(c.words, "--stop") && strings.TrimSpace(completed.String()) != "--stop-signal" {
			t.Errorf("%q: completed %q", c.words, completed.String())
		}
	}
}
