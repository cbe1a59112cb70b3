package config_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/interlock-run/interlock/internal/config"
)

// TestMain adds -update, so that there is no package-level flag.
func TestMain(m *testing.M) {
	flag.Bool("update", false, "write docs/configuration.md and examples/interlock.yaml")
	os.Exit(m.Run())
}

// TestGenerated compares the committed files with the table; -update writes them.
func TestGenerated(t *testing.T) {
	root := filepath.Join("..", "..")
	for path, want := range map[string][]byte{
		filepath.Join(root, "docs", "configuration.md"):   config.Docs(),
		filepath.Join(root, "examples", "interlock.yaml"): config.Sample(),
	} {
		if flag.Lookup("update").Value.String() == "true" {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from the table: run go test ./internal/config -update", path)
		}
	}
}

// TestSampleIsDefaults loads the sample as it is: it must say nothing but the defaults, lock and data.
func TestSampleIsDefaults(t *testing.T) {
	in := inputs()
	in.File = config.Sample()
	got, warnings, err := config.Load(in)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("error %v, warnings %q", err, warnings)
	}
	want, _, err := config.Load(inputs("--lock", "file:///var/lib/orders/lock", "--data", "/srv/db/data"))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestSampleExamples uncomments the examples: every field is then in the file, and none is refused but
// for what a file:// lock cannot have.
func TestSampleExamples(t *testing.T) {
	full := regexp.MustCompile(`(?m)^( *)#([a-z])`).ReplaceAll(config.Sample(), []byte("$1$2"))
	full = bytes.Replace(full, []byte("file:///var/lib/orders/lock"), []byte("etcd://etcd-0:2379,etcd-1:2379/orders"), 1)
	// A store holds either dumps of a cache or snapshots of data.
	full = bytes.Replace(full, []byte(`schedule: "15 * * * *"`), []byte(`schedule: ""`), 1)
	in := inputs()
	in.File = full
	r, err := config.Resolve(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range r.Values {
		if !strings.HasPrefix(v.Source, "test.yaml:") {
			t.Errorf("%s is not in the sample (source %s)", v.Key, v.Source)
		}
	}
}

// TestSampleHasNoOtherKeys reads the uncommented sample with a plain YAML decoder and finds only keys of
// the table.
func TestSampleHasNoOtherKeys(t *testing.T) {
	full := regexp.MustCompile(`(?m)^( *)#([a-z])`).ReplaceAll(config.Sample(), []byte("$1$2"))
	var tree map[string]any
	if err := yaml.Unmarshal(full, &tree); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, f := range config.Fields() {
		known[f.Key] = true
	}
	var walk func(prefix string, m map[string]any)
	walk = func(prefix string, m map[string]any) {
		for k, v := range m {
			if sub, is := v.(map[string]any); is {
				walk(prefix+k+".", sub)
			} else if !known[prefix+k] {
				t.Errorf("%s is not in the table", prefix+k)
			}
		}
	}
	walk("", tree)
}

// TestTable checks that the table is one: every name once, every default sound, every value of Config
// reached by exactly one field.
func TestTable(t *testing.T) {
	keys, flags := map[string]bool{}, map[string]bool{config.FileField().Flag: true}
	for _, f := range config.Fields() {
		if f.Key == "" || keys[f.Key] || flags[f.Flag] || f.Help == "" || strings.HasSuffix(f.Help, ".") {
			t.Errorf("%q --%s: empty, there twice, or without a help that ends without a full stop", f.Key, f.Flag)
		}
		keys[f.Key], flags[f.Flag] = true, true
	}
	// Command has no field: it is the argv.
	if got, want := len(keys), leaves(reflect.TypeFor[config.Config]())-1; got != want {
		t.Errorf("%d fields for %d values of Config", got, want)
	}
}

func leaves(t reflect.Type) int {
	if t.Kind() != reflect.Struct {
		return 1
	}
	n := 0
	for i := range t.NumField() {
		n += leaves(t.Field(i).Type)
	}
	return n
}

// TestNames checks the names that others build on.
func TestNames(t *testing.T) {
	published := strings.Fields(`lock lock-wait lock-user lock-password-file lock-ca lock-cert lock-key token-epoch
		hold heartbeat try-timeout tries grace kill-budget margin settle hold-max fence-node require-drained
		stop-signal stop-grace mount data state-dir user isolate holder reason-file log-format log-level listen dry-run orchestrator-grace start-budget
		store restore-from restore-on-empty restore-diverged backup-mode backup-preset backup-schedule backup-on-stop backup-keep-last restore-exec restore-when restore-timeout hooks-pre-start-exec hooks-post-stop-timeout`)
	flags := map[string]bool{}
	for _, f := range config.Fields() {
		flags[f.Flag] = true
	}
	for _, name := range published {
		if !flags[name] {
			t.Errorf("--%s is missing", name)
		}
	}
}
