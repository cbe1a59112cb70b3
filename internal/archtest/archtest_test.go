package archtest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// TestModule applies the rules to this module.
func TestModule(t *testing.T) {
	sources, err := parse(os.DirFS(filepath.Join("..", "..")))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(sources, func(s source) bool { return s.name == "cmd/interlock/main.go" }) {
		t.Fatalf("read %d files, and not cmd/interlock/main.go: is this the module's root?", len(sources))
	}
	for _, w := range broken(sources) {
		t.Error(w)
	}
}

// TestRules breaks each rule once in a made-up tree, beside the nearest thing that is allowed.
func TestRules(t *testing.T) {
	cases := []struct{ name, file, text, want string }{
		{"feature", "restore/a.go", imports("lock"), "restore/a.go: feature restore imports feature lock"},
		{"feature below", "mountcheck/probe/a.go", imports("supervise"), "feature mountcheck imports feature supervise"},
		{"fence is vocabulary", "lock/a.go", imports("fence"), ""},
		{"fence below is not", "lock/a.go", imports("fence/agent"), "imports feature fence/agent"},
		{"fence knows nobody", "fence/a.go", imports("lock"), "feature fence imports feature lock"},
		{"own feature", "mountcheck/a.go", imports("mountcheck/probe"), ""},
		{"upwards", "supervise/a.go", imports("internal/config"), "which is above it"},
		{"driver", "lock/zk/a.go", imports("internal/durable"), "driver lock/zk imports internal/durable"},
		{"driver names driver", "lock/zk/a.go", imports("lock/etcd"), "only cmd does"},
		{"driver's imports", "lock/zk/a.go", imports("lock", "fence", "internal/clock"), ""},
		{"driver's tests", "lock/zk/a_test.go", imports("lock/locktest", "internal/testkit", "lock/zk"), ""},
		{"driver's suite outside tests", "lock/zk/a.go", imports("lock/locktest"), "driver lock/zk imports lock/locktest"},
		{"lifecycle names driver", "internal/lifecycle/a.go", imports("lock/file"), "names the driver lock/file"},
		{"cmd names driver", "cmd/interlock/b.go", imports("lock/file"), ""},
		{"crowd names driver", "internal/bench/crowd/b.go", imports("lock/etcd"), ""},
		{"bench names driver", "internal/bench/b.go", imports("lock/etcd"), "only cmd does"},
		{"lifecycle names a store", "internal/lifecycle/a.go", imports("internal/store/s3"), "names the store internal/store/s3"},
		{"cmd names a store", "cmd/interlock/b.go", imports("internal/store/dir"), ""},
		{"a test names a store", "backup/a_test.go", imports("internal/store/dir"), ""},
		{"the contract of stores", "internal/courier/a.go", imports("internal/store"), ""},
		{"light worker", "internal/worker/a.go", imports("internal/snapshot"), "that is for the courier"},
		{"light restore", "restore/a.go", imports("restore/pull"), "that is for the courier"},
		{"heavy restore", "restore/pull/a.go", imports("internal/snapshot"), ""},
		{"config", "internal/config/a.go", imports("lock"), "expected nothing of ours"},
		{"config's test", "internal/config/a_test.go", imports("internal/config"), ""},
		{"exec", "supervise/a.go", "import _ \"os/exec\"\n", "imports os/exec"},
		{"exec in a probe", "mountcheck/probe/a.go", "import _ \"os/exec\"\n", "imports os/exec"},
		{"exec in a test", "supervise/a_test.go", "import _ \"os/exec\"\n", ""},
		{"exec elsewhere", "internal/testkit/a.go", "import _ \"os/exec\"\n", ""},
		{"init", "lock/a.go", "func init() {}\n", "has an init function"},
		{"init of the roles", "internal/role/a.go", "func init() {}\n", ""},
		{"method called init", "lock/a.go", "type T struct{}\nfunc (T) init() {}\n", ""},
		{"sleep", "lock/a_test.go", "import \"time\"\nfunc f() { time.Sleep(1) }\n", "line 4 sleeps"},
		{"sleep in a loop", "lock/a_test.go", "import \"time\"\nfunc f() { for { f(); time.Sleep(1) } }\n", "line 4 sleeps"},
		{"sleep for ever", "lock/a_test.go", "import \"time\"\nfunc f() { for { time.Sleep(1) } }\n", ""},
		{"init of a test", "lock/a_test.go", "func init() {}\n", ""},
		{"sleep outside tests", "lock/a.go", "import \"time\"\nfunc f() { time.Sleep(1) }\n", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			expect(t, c.file, "// Package x is.\npackage x\n"+c.text, c.want)
		})
	}
}

func TestPackageComment(t *testing.T) {
	expect(t, "lock/a.go", "package lock\n", "lock: no file has a package comment")
	expect(t, "lock/a_test.go", "package lock\n", "")
}

func imports(ours ...string) string {
	text := ""
	for _, i := range ours {
		text += "import _ \"" + module + i + "\"\n"
	}
	return text
}

// expect wants one broken rule that contains want, or none where want is empty.
func expect(t *testing.T, file, text, want string) {
	t.Helper()
	sources, err := parse(fstest.MapFS{
		file:                {Data: []byte(text)},
		"x/testdata/bad.go": {Data: []byte("not Go")},
		".git/bad.go":       {Data: []byte("not Go")},
	})
	if err != nil {
		t.Fatal(err)
	}
	wrong := broken(sources)
	if want == "" && len(wrong) > 0 {
		t.Errorf("got %q, want nothing", wrong)
	}
	if want != "" && !slices.ContainsFunc(wrong, func(w string) bool { return strings.Contains(w, want) }) {
		t.Errorf("got %q, want %q", wrong, want)
	}
}
