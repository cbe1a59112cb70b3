package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
)

// event is one line of go test -json (go doc test2json).
type event struct {
	Action, Package, Test, Output string
	ImportPath                    string // of build-output and build-fail
	FailedBuild                   string
	Elapsed                       float64
}

// id names a test, or a package when test is empty.
type id struct{ pkg, test string }

func (i id) String() string {
	if i.test == "" {
		return i.pkg
	}
	return i.pkg + "." + i.test
}

// skip is a test that did not run. name is what testkit.Skip gave, else the
// test's own.
type skip struct {
	test, name, reason string
}

func (s skip) String() string {
	if s.name == s.test {
		return s.test + ": " + s.reason
	}
	return s.test + ": " + s.name + ": " + s.reason
}

// result is what became of a family.
type result struct {
	name string
	took time.Duration
	out  *printer

	order  []id          // tests and packages as they started
	state  map[id]string // run, pass, fail, skip
	output map[id][]string
	builds map[string][]string // what the compiler said, by import path
	errs   []error             // what is wrong with the family itself
}

func newResult(name string, out *printer) *result {
	return &result{name: name, out: out, state: map[id]string{}, output: map[id][]string{}, builds: map[string][]string{}}
}

func (r *result) read(from io.Reader) error {
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadString('\n')
		if strings.TrimSpace(line) != "" {
			r.line(line)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot read the events of go test: %w", err)
		}
	}
}

func (r *result) line(line string) {
	var e event
	if json.Unmarshal([]byte(line), &e) != nil {
		r.stderr(line)
		return
	}
	r.event(e)
}

func (r *result) event(e event) {
	e.Package = strings.TrimPrefix(e.Package, module)
	at := id{e.Package, e.Test}
	switch e.Action {
	case "start", "run":
		r.begin(at)
	case "output":
		r.output[at] = append(r.output[at], e.Output)
	case "build-output":
		r.builds[e.ImportPath] = append(r.builds[e.ImportPath], e.Output)
	case "pass", "fail", "skip":
		r.begin(at)
		r.state[at] = e.Action
		r.ended(at, e)
	}
}

const module = "github.com/interlock-run/interlock/"

func (r *result) begin(at id) {
	if _, known := r.state[at]; !known {
		r.order = append(r.order, at)
	}
	r.state[at] = "run"
}

// ended prints a package's line, and what a failed test or build said.
func (r *result) ended(at id, e event) {
	if e.Action == "fail" {
		text := append(slices.Clone(r.builds[e.FailedBuild]), r.output[at]...)
		r.out.block(fmt.Sprintf("--- FAIL %s: %s", r.name, at), text)
		return
	}
	if at.test == "" && e.Action != "skip" {
		r.out.print(fmt.Sprintf("ok   %-10s %s %.1fs", r.name, at.pkg, e.Elapsed))
	}
}

// stderr takes what go test says outside its events.
func (r *result) stderr(line string) { r.out.print(r.name + ": " + strings.TrimRight(line, "\n")) }

// finish closes the account: tests without an end did not pass, and a family
// without tests proves nothing.
func (r *result) finish(err error) {
	for _, at := range r.order {
		if r.state[at] == "run" {
			r.state[at] = "fail"
			r.out.block(fmt.Sprintf("--- FAIL %s: %s did not finish", r.name, at), r.output[at])
		}
	}
	if err != nil {
		r.errs = append(r.errs, err)
	}
	if p, f, s := r.counts(); p+f+len(s) == 0 {
		r.errs = append(r.errs, errors.New("no test ran"))
	}
}

var skipLine = regexp.MustCompile(`SKIP ([^:\s]+): (.*)`)

// skipOf finds the reason in what the test wrote last.
func (r *result) skipOf(at id) skip {
	s := skip{test: at.String(), name: at.String()}
	for _, line := range r.output[at] {
		if m := skipLine.FindStringSubmatch(line); m != nil {
			s.name, s.reason = m[1], m[2]
		} else if !strings.HasPrefix(strings.TrimSpace(line), "---") && !strings.HasPrefix(line, "===") {
			s.reason = strings.TrimSpace(line)
		}
	}
	return s
}
