package testkit

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// SkipLogVar names the file that collects, for the runner's closing table,
// which servers ran and which were missing. One line each, tab separated:
// run|skip, name, version|reason, test.
const SkipLogVar = "INTERLOCK_TEST_SKIPLOG"

// Skip ends the test as skipped, for want of name (a server, a right, a
// kernel feature). With CI set the runner fails a skip whose name is not on
// the checked-in list.
func Skip(t testing.TB, name, reason string) {
	t.Helper()
	record(t, "skip", name, reason)
	t.Skipf("SKIP %s: %s", name, reason)
}

func recordRun(t testing.TB, name, version string) { record(t, "run", name, version) }

// record appends with one write, so that packages tested side by side do not
// mix their lines.
func record(t testing.TB, verb, name, word string) {
	t.Helper()
	path := setting(SkipLogVar)
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatalf("%s: cannot append to the skip log: %v", SkipLogVar, err)
	}
	_, werr := f.WriteString(logLine(verb, name, word, t.Name()))
	if err := f.Close(); werr != nil || err != nil {
		t.Fatalf("%s: cannot append to %s: %v %v", SkipLogVar, path, werr, err)
	}
}

func logLine(verb, name, word, test string) string {
	flat := strings.NewReplacer("\t", " ", "\n", " ", "\r", " ")
	return fmt.Sprintf("%s\t%s\t%s\t%s\n", verb, flat.Replace(name), flat.Replace(word), flat.Replace(test))
}
