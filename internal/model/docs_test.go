package model

import (
	"os"
	"strings"
	"testing"
)

// TestDocs: the story in docs/model.md is the one that the program prints.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/model.md")
	if err != nil {
		t.Fatal(err)
	}
	m := droppable()[tellTheWait].lacking(tellTheWait)
	f := breadthFirst(m, far)
	for _, line := range strings.Split(story(t, m, f.way), "\n") {
		if !strings.Contains(string(page), strings.TrimSpace(line)) {
			t.Errorf("docs/model.md: the story %q lacks the line %q", tellTheWait, line)
		}
	}
	words := strings.Join(strings.Fields(string(page)), " ")
	for r := allRules + 1; r < rules; r++ {
		if !strings.Contains(words, r.String()) {
			t.Errorf("docs/model.md does not name the rule %q", r)
		}
	}
	for b := allBonds + 1; b < bonds; b++ {
		if !strings.Contains(words, b.String()) {
			t.Errorf("docs/model.md does not name the rule %q", b)
		}
	}
}
