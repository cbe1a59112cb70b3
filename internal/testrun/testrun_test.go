package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const stream = `{"Action":"start","Package":"github.com/interlock-run/interlock/lock"}
{"Action":"run","Package":"github.com/interlock-run/interlock/lock","Test":"TestA"}
{"Action":"run","Package":"github.com/interlock-run/interlock/lock","Test":"TestA/one"}
{"Action":"pass","Package":"github.com/interlock-run/interlock/lock","Test":"TestA/one"}
{"Action":"run","Package":"github.com/interlock-run/interlock/lock","Test":"TestA/two"}
{"Action":"output","Package":"github.com/interlock-run/interlock/lock","Test":"TestA/two","Output":"    x.go:1: SKIP zookeeper: no java\n"}
{"Action":"output","Package":"github.com/interlock-run/interlock/lock","Test":"TestA/two","Output":"    --- SKIP: TestA/two (0.00s)\n"}
{"Action":"skip","Package":"github.com/interlock-run/interlock/lock","Test":"TestA/two"}
{"Action":"pass","Package":"github.com/interlock-run/interlock/lock","Test":"TestA"}
{"Action":"pass","Package":"github.com/interlock-run/interlock/lock"}
`

func at(action, test string) string {
	line := `{"Action":"` + action + `","Package":"p"`
	if test != "" {
		line += `,"Test":"` + test + `"`
	}
	return line + "}\n"
}

func outcome(t *testing.T, text string, err error) (*result, string) {
	t.Helper()
	var out bytes.Buffer
	r := newResult("core", &printer{w: &out})
	if err := r.read(strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	r.finish(err)
	return r, out.String()
}

func TestCounts(t *testing.T) {
	cases := []struct {
		name, events            string
		err                     error
		passed, failed, skipped int
	}{
		{"innermost tests count", stream, nil, 1, 0, 1},
		{"nothing ran", at("start", "") + at("skip", ""), nil, 0, 1, 0},
		{"nothing at all", "", nil, 0, 1, 0},
		{"failed part is one failure", at("run", "T") + at("run", "T/a") + at("fail", "T/a") + at("fail", "T") + at("fail", ""), nil, 0, 1, 0},
		{"failed cleanup beside good parts", at("run", "T") + at("run", "T/a") + at("pass", "T/a") + at("fail", "T") + at("fail", ""), nil, 1, 1, 0},
		{"package fails after good tests", at("start", "") + at("run", "T") + at("pass", "T") + at("fail", ""), nil, 1, 1, 0},
		{"package does not build", at("start", "") + at("fail", ""), nil, 0, 1, 0},
		{"test without an end", at("start", "") + at("run", "T") + at("run", "U") + at("pass", "U") + at("fail", ""), nil, 1, 1, 0},
		{"stream cut off", at("start", "") + at("run", "T"), nil, 0, 1, 0},
		{"go test fails unheard", stream, errors.New("exit status 2"), 1, 1, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r, out := outcome(t, c.events, c.err)
			p, f, s := r.counts()
			if p != c.passed || f != c.failed || len(s) != c.skipped {
				t.Errorf("%d passed, %d failed, %d skipped; want %d, %d, %d\n%s", p, f, len(s), c.passed, c.failed, c.skipped, out)
			}
			if len(r.failedNames()) != f {
				t.Errorf("%d failures, names %q", f, r.failedNames())
			}
		})
	}
}

func TestFailureShowsItsOutput(t *testing.T) {
	_, out := outcome(t, `{"Action":"build-output","ImportPath":"p [p.test]","Output":"p.go:1: undefined: x\n"}
{"Action":"fail","Package":"p","FailedBuild":"p [p.test]"}
`, nil)
	if !strings.Contains(out, "undefined: x") {
		t.Errorf("output %q", out)
	}
}

func TestSkipHasNameAndReason(t *testing.T) {
	r, _ := outcome(t, stream, nil)
	_, _, skips := r.counts()
	want := skip{test: "lock.TestA/two", name: "zookeeper", reason: "no java"}
	if len(skips) != 1 || skips[0] != want {
		t.Errorf("skips %+v, want %+v", skips, want)
	}
}

func TestAllowList(t *testing.T) {
	list, err := parseAllowList("f", "# why\n\nfuse: no /dev/fuse on the build machines\nlock.TestX: slow\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		s    skip
		want bool
	}{
		{skip{name: "fuse", test: "mountcheck.TestA"}, false},
		{skip{name: "lock.TestX", test: "lock.TestX"}, false},
		{skip{name: "etcd", test: "lock.TestY"}, true},
	} {
		if list.forbidden(c.s) != c.want {
			t.Errorf("%+v: forbidden %v, want %v", c.s, !c.want, c.want)
		}
	}
	if allowList(nil).forbidden(skip{name: "etcd"}) {
		t.Error("a skip is forbidden without CI")
	}
	for _, bad := range []string{"fuse", "fuse:", "fuse: ", "two words: reason"} {
		if _, err := parseAllowList("f", bad); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
	if _, err := readAllowList(filepath.Join("..", "..", ".ci", "allowed-skips")); err != nil {
		t.Error(err)
	}
}

func TestReportClosesWithOneLine(t *testing.T) {
	const log = "run\tetcd\t3.4.23\tTestA\nrun\tetcd\t3.4.23\tTestB\nskip\tzookeeper\tno java\tTestC\n"
	for _, c := range []struct {
		s      session
		failed int
		last   string
	}{
		{session{race: true}, 0, "1 passed, 0 failed, 1 skipped"},
		{session{race: true, allowed: allowList{}}, 1, "1 passed, 1 failed, 0 skipped"},
		{session{race: false, allowed: allowList{"zookeeper": "x"}}, 1, "1 passed, 1 failed, 1 skipped"},
		{session{race: true, problems: []string{"left"}}, 1, "1 passed, 1 failed, 1 skipped"},
	} {
		r, _ := outcome(t, stream, nil)
		c.s.servers = log
		var out bytes.Buffer
		failed := c.s.report(&out, []*result{r})
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if failed != c.failed || lines[len(lines)-1] != c.last {
			t.Errorf("failed %d, want %d, last line %q, want %q", failed, c.failed, lines[len(lines)-1], c.last)
		}
		for _, want := range []string{"etcd       3.4.23   2      run", "zookeeper  -        1      skipped: no java"} {
			if !slices.Contains(lines, want) {
				t.Errorf("no line %q in\n%s", want, out.String())
			}
		}
	}
}

// Two families of one name would hide each other.
func TestFamiliesHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range families() {
		if seen[f.name] {
			t.Errorf("two families are called %s", f.name)
		}
		seen[f.name] = true
	}
}

func TestFamilies(t *testing.T) {
	for folder, want := range map[string]string{
		"lock": "core", "lock/zk": "zk", "lock/etcd": "etcd", "lock/file": "core", "lock/zkother": "core",
		"cmd/interlock": "run", "internal/e2e/life": "citizen", "supervise/kill": "supervise", "internal/role": "supervise", "": "core",
		"internal/e2e/container": "citizen", "internal/e2e/foreign": "foreign",
	} {
		if got := familyOf(folder); got != want {
			t.Errorf("%q is in %s, want %s", folder, got, want)
		}
	}
	if _, err := choose([]string{"cor"}); err == nil {
		t.Error("an unknown family was accepted")
	}
}

func TestSkipLogOutlivesTheWorkFolder(t *testing.T) {
	dir := t.TempDir()
	s := session{skipLog: filepath.Join(dir, "skips")}
	if err := s.readSkipLog(); err != nil || s.servers != "" {
		t.Errorf("no log: %q, %v", s.servers, err)
	}
	if err := os.WriteFile(s.skipLog, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.readSkipLog(), os.RemoveAll(dir)); err != nil || s.servers != "x" {
		t.Errorf("%q, %v", s.servers, err)
	}
}
