package main

import "strings"

// counts takes the innermost tests: a test with subtests counts by them. Yet
// a failure that is not in any part counts on its own: a test whose cleanup
// failed, or a package that did not build, hung, or left something behind.
func (r *result) counts() (passed, failed int, skipped []skip) {
	parts, broken := r.parents()
	for _, at := range r.order {
		switch state := r.state[at]; {
		case state == "fail":
			if !broken[at] {
				failed++
			}
		case at.test == "" || parts[at]:
		case state == "skip":
			skipped = append(skipped, r.skipOf(at))
		case state == "pass":
			passed++
		}
	}
	return passed, failed + len(r.errs), skipped
}

func (r *result) failures() int {
	_, failed, _ := r.counts()
	return failed
}

// parents tells which tests and packages have parts, and which have a failed
// part.
func (r *result) parents() (parts, broken map[id]bool) {
	parts, broken = map[id]bool{}, map[id]bool{}
	for _, at := range r.order {
		for up, ok := at.parent(); ok; up, ok = up.parent() {
			parts[up] = true
			broken[up] = broken[up] || r.state[at] == "fail"
		}
	}
	return parts, broken
}

func (i id) parent() (id, bool) {
	if i.test == "" {
		return id{}, false
	}
	return id{i.pkg, i.test[:max(strings.LastIndexByte(i.test, '/'), 0)]}, true
}

// failedNames lists what counts as failed, for the closing part.
func (r *result) failedNames() []string {
	_, broken := r.parents()
	var names []string
	for _, at := range r.order {
		if r.state[at] == "fail" && !broken[at] {
			names = append(names, at.String())
		}
	}
	for _, err := range r.errs {
		names = append(names, "family "+r.name+": "+err.Error())
	}
	return names
}
