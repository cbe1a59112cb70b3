package main

import (
	"fmt"
	"os"
	"strings"
)

// allowList is .ci/allowed-skips: one NAME: REASON a line, where NAME is what
// a test gave testkit.Skip, or the test itself. Without CI there is none.
type allowList map[string]string

func readAllowList(path string) (allowList, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the list of allowed skips: %w", err)
	}
	return parseAllowList(path, string(raw))
}

func parseAllowList(path, text string) (allowList, error) {
	list := allowList{}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, reason, _ := strings.Cut(line, ": ")
		if reason = strings.TrimSpace(reason); reason == "" || strings.ContainsAny(name, " \t") {
			return nil, fmt.Errorf("%s: line %d: found %q: expected NAME: REASON", path, n, line)
		}
		list[name] = reason
	}
	return list, nil
}

// forbidden tells whether a skip counts as a failure.
func (l allowList) forbidden(s skip) bool {
	if l == nil {
		return false
	}
	_, byName := l[s.name]
	_, byTest := l[s.test]
	return !byName && !byTest
}
