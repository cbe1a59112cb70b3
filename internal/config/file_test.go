package config_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/config"
)

// TestFileForm: what is not one mapping of known keys is refused, with its line.
func TestFileForm(t *testing.T) {
	cases := []struct {
		name, file string
		want       []string
	}{
		{"empty", "", nil},
		{"comments", "# nothing\n---\n", nil},
		{"empty section", "lock:\ntiming: {}\n", nil},
		{"list on top", "- a\n", []string{"test.yaml:1: found a list: expected keys with values"}},
		{"scalar on top", "hello\n", []string{`test.yaml:1: found "hello": expected keys`}},
		{"null on top", "~\n", nil},
		{"two documents", "data: /a\n---\ndata: /b\n", []string{"test.yaml: line 2 begins a second document"}},
		{"second document broken", "data: /a\n---\n[\n", []string{"test.yaml: not YAML"}},
		{"not YAML", "a: [\n", []string{"test.yaml: not YAML … line"}},
		{"tab", "lock:\n\turl: x\n", []string{"test.yaml: not YAML"}},
		{"section is a scalar", "lock: zk://h/p\n", []string{`test.yaml:1 lock: found "zk://h/p": expected keys`}},
		{"value is a mapping", "data: {a: b}\n", []string{"test.yaml:1 data: found a mapping"}},
		{"value is a list", "data: [/a]\n", []string{"test.yaml:1 data: found a list"}},
		{"value is nothing", "data:\n", []string{"test.yaml:1 data: found nothing"}},
		{"truth as text", "user: true\n", []string{`test.yaml:1 user: found "true", which YAML takes for a truth value`}},
		{"quoted truth", "fence: {node: \"true\"}\n", nil},
		{"number as truth", "dry_run: 1\n", []string{`test.yaml:1 dry_run: found "1": expected true or false`}},
		{"number as text", "user: 999\nfence: {node: 07}\n", nil},
		{"alias", "data: &a /a\nstate_dir: *a\n", []string{"test.yaml:2 state_dir: found an alias"}},
		{"alias of itself", "mounts: &a [*a]\n", []string{"test.yaml:1 mounts[0]: found an alias"}},
		{"merge key", "lock: {<<: {url: zk://h/p}}\n", []string{"test.yaml:1: found a merge key"}},
		{"list as key", "[a]: b\n", []string{"test.yaml:1: found a list: expected a key"}},
		{"duplicate section", "log: {level: warn}\nlog: {format: json}\n", []string{"test.yaml:2 log: this key stands in line 1 already"}},
		{"binary", "data: !!binary aGVsbG8=\n", []string{"test.yaml:1 data: found"}},
		{"list of lists", "restore: {exec: [[a]]}\ndata: /d\n", []string{"test.yaml:1 restore.exec[0]: found a list"}},
		{"command as a string", "restore: {exec: /bin/x}\n", []string{`restore.exec: found "/bin/x": expected a list`}},
		{"mount as a string", "mounts: [/srv]\n", []string{`test.yaml:1 mounts[0]: found "/srv": expected keys`}},
		{"mounts as a mapping", "mounts: {path: /srv}\n", []string{"test.yaml:1 mounts: found a mapping: expected a list"}},
		{"mount without path", "mounts: [{fstype: nfs4}]\n", []string{"test.yaml:1 mounts[0]: path is missing"}},
		{"mount's unknown key", "mounts:\n- path: /srv\n  sorce: x\n", []string{`test.yaml:3 mounts[0]: unknown key "sorce": did you mean source?`}},
		{"mount's key twice", "mounts:\n- path: /srv\n  path: /x\n", []string{"test.yaml:3 path: this key stands in line 2 already"}},
		{"dots in a path", "data: /srv/../x\n", []string{`found "/srv/../x": expected an absolute path without ..`}},
		{"NUL", "data: \"/a\\0b\"\n", []string{"test.yaml:1 data: found"}},
		{"newline in a path", "data: \"/a\\nb\"\n", []string{"test.yaml:1 data: found"}},
		{"variable is not expanded", "fence: {node: $HOME}\n", nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			in := inputs()
			in.File = []byte(c.file)
			expectProblems(t, in, c.want...)
		})
	}
}

// TestOneLineEach: whatever is in the file, a problem is one line of sensible length.
func TestOneLineEach(t *testing.T) {
	in := inputs()
	in.File = []byte("data: \"a\\nb\"\n" + strings.Repeat("k", 500) + ": 1\nuser: \"" + strings.Repeat("u", 9000) + "\"\n")
	for _, line := range problems(t, in) {
		if strings.Contains(line, "\n") || len(line) > 400 {
			t.Errorf("%d bytes: %q", len(line), line)
		}
	}
}

// TestDefaultsAreSound: every default passes its own field's check, and an unset list is empty.
func TestDefaultsAreSound(t *testing.T) {
	in := inputs()
	for _, f := range config.Fields() {
		if text := f.DefaultText(); f.Unset == "" && text != "" {
			in.Flags[f.Flag] = []string{text}
		}
	}
	got, _, err := config.Load(in)
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := config.Load(inputs())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// FuzzFile: no file makes Load panic, and an accepted one is accepted again.
func FuzzFile(f *testing.F) {
	f.Add(config.Sample())
	for _, seed := range []string{"a: &a [*a]", "lock: {url: 1}", "mounts: [{path: /x, opts: [a]}]", "? [a]\n: b", "<<: *x", "%YAML 1.1\n---\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		in := inputs()
		in.File = file
		a, _, errA := config.Load(in)
		b, _, errB := config.Load(in)
		if (errA == nil) != (errB == nil) || !reflect.DeepEqual(a, b) {
			t.Errorf("two loads differ: %v, %v", errA, errB)
		}
	})
}
