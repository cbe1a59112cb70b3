package citizen

import (
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
)

// A keeper is who parses the files of examples/ that a pattern names: a function here, or a test elsewhere
// that must speak of them.
type keeper struct {
	pattern string
	here    func(t testing.TB, file string) (bad []string)
	test    string // a file, or a folder of them
	mention string
}

func keepers() []keeper {
	return []keeper{
		{pattern: "marathon/*.json", here: func(t testing.TB, file string) []string { return judge(t, content(t, file)) }},
		{pattern: "recipes/*.yaml", here: recipe},
		{pattern: "hosts/*.yaml", here: configFile},
		{pattern: "caches/*.yaml", here: cacheFile},
		{pattern: "nbd/*.yaml", here: configFile},
		{pattern: "nbd/README.md", here: readme},
		{pattern: "compose/*.yaml", here: func(t testing.TB, file string) []string { return judgeCompose(t, content(t, file)) }},
		{pattern: "demo/*.sh", here: bashScript},
		{pattern: "README.md", here: readme},
		{pattern: "fencing/*", test: "fence/agent/examples_test.go", mention: "nfs-unexport"},
		{pattern: "hooks/README.md", here: readme},
		{pattern: "hooks/*-freeze", test: "internal/e2e/presets/hooks_test.go", mention: `"examples", "hooks", name`},
		{pattern: "backup/*.crontab", test: "cmd/interlock/backupexamples_test.go", mention: "interlock-backup.crontab"},
		{pattern: "backup/metronome.json", test: "cmd/interlock/backupexamples_test.go", mention: "metronome.json"},
		{pattern: "backup/cronjob.yaml", test: "modules/kubernetes", mention: `"examples", "backup", "cronjob.yaml"`},
		{pattern: "interlock.yaml", test: "internal/config/generated_test.go", mention: "interlock.yaml"},
		{pattern: "completion.bash", test: "cmd/interlock/completion_test.go", mention: "completion.bash"},
		{pattern: "container/Dockerfile", test: "internal/e2e/container/image_test.go", mention: "examples/container/Dockerfile"},
		{pattern: "systemd/*.service", test: "cmd/interlock/hosts_test.go", mention: "interlock-mysql.service"},
		{pattern: "cron/*.crontab", test: "cmd/interlock/hosts_test.go", mention: "interlock.crontab"},
		{pattern: "kubernetes/*", test: "modules/kubernetes", mention: `"examples", "kubernetes", "*"`},
		{pattern: "demo/ledger/main.go", test: "Makefile", mention: "./examples/demo/ledger"}, // `make run` builds it
	}
}

func content(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// exampleFile is the content of a file of examples/.
func exampleFile(t testing.TB, name string) string {
	t.Helper()
	return content(t, filepath.Join(top(t), "examples", name))
}

func top(t testing.TB) string {
	t.Helper()
	root, err := testkit.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// TestEveryExampleIsParsed walks examples/: a file that nobody parses fails, and so does one that is wrong.
func TestEveryExampleIsParsed(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(top(t), "examples")
	seen := map[string]bool{}
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		k, kept := keeperOf(name)
		if !kept {
			t.Errorf("examples/%s: no test parses it", name)
			return nil
		}
		seen[k.pattern] = true
		for _, bad := range k.look(t, name) {
			t.Errorf("examples/%s: %s", name, bad)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keepers() {
		if !seen[k.pattern] {
			t.Errorf("examples/%s: expected such a file", k.pattern)
		}
	}
}

func keeperOf(name string) (keeper, bool) {
	for _, k := range keepers() {
		if is, err := path.Match(k.pattern, name); err == nil && is {
			return k, true
		}
	}
	return keeper{}, false
}

// look parses the file, or sees that the test which does still speaks of it.
func (k keeper) look(t testing.TB, name string) []string {
	t.Helper()
	if k.here != nil {
		return k.here(t, filepath.Join(top(t), "examples", name))
	}
	files, err := filepath.Glob(filepath.Join(top(t), k.test, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, filepath.Join(top(t), k.test)) {
		if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), k.mention) {
			return nil
		}
	}
	return []string{k.test + " does not speak of " + k.mention}
}

func TestUnknownExamplesAreSeen(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"x", "marathon/x.yaml", "recipes/x.json", "nomad/x.hcl", "demo/ledger/x.go", "kubernetes/a/b"} {
		if k, kept := keeperOf(name); kept {
			t.Errorf("%s is taken for %s", name, k.pattern)
		}
	}
	if bad := (keeper{test: "Makefile", mention: "no such word at all"}).look(t, "x"); len(bad) == 0 {
		t.Error("a test that does not speak of its file was not seen")
	}
}

// embedded are the commands that a file's comments give: lines of "#", four blanks or more, a command of ours.
func embedded(text string) []string {
	var found []string
	for line := range strings.Lines(text) {
		if command, is := strings.CutPrefix(line, "#     "); is && strings.Contains(command, "interlock run ") {
			found = append(found, strings.TrimSpace(command))
		}
	}
	return found
}

// configFile is a configuration of interlock with the command that goes with it.
func configFile(t testing.TB, file string) []string {
	t.Helper()
	doc, bad := checkedFile(t, file)
	if len(bad) > 0 {
		return bad
	}
	mounts := doc.mounts()
	return rules(len(mounts) == 1 && strings.HasPrefix(doc.value("data").(string), mounts[0]+"/"), "expected the mount that holds data")
}

// cacheFile is one of a cache: it need not lie on a mount.
func cacheFile(t testing.TB, file string) []string {
	t.Helper()
	_, bad := checkedFile(t, file)
	return bad
}

// checkedFile is what check-config makes of a file and of the command in its head.
func checkedFile(t testing.TB, file string) (checkup, []string) {
	t.Helper()
	commands := embedded(content(t, file))
	if len(commands) != 1 {
		return checkup{}, []string{"expected one command `interlock run --config …` in its head"}
	}
	argv, err := words(commands[0])
	if err != nil {
		return checkup{}, []string{err.Error()}
	}
	i := slices.Index(argv, "--config")
	if i < 0 || i+1 >= len(argv) || filepath.Base(argv[i+1]) != filepath.Base(file) {
		return checkup{}, []string{"its command does not name this file by --config"}
	}
	argv[i+1] = file
	return checkCommand(t, nil, argv)
}

// recipe is one that no test of ours runs, and says so.
func recipe(t testing.TB, file string) []string {
	first, _, _ := strings.Cut(content(t, file), "\n")
	return append(rules(strings.Contains(first, "Not run by our tests"), `its first line does not say "Not run by our tests"`), configFile(t, file)...)
}

func bashScript(t testing.TB, file string) []string {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		testkit.Skip(t, "bash", err.Error())
	}
	if out, err := exec.Command(bash, "-n", file).CombinedOutput(); err != nil {
		return []string{string(out)}
	}
	return nil
}

// readme names every folder and every file that stands alone.
func readme(t testing.TB, file string) []string {
	t.Helper()
	text, name := content(t, file), filepath.Base(file)
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil {
		t.Fatal(err)
	}
	var bad []string
	for _, e := range entries {
		if e.Name() != name && !strings.Contains(text, "("+e.Name()) {
			bad = append(bad, "no link to "+e.Name())
		}
	}
	return append(bad, rules(strings.Count(text, "\n") <= 50, "longer than a screen of 50 lines")...)
}

// What the checks of configurations look for, broken.
func TestBrokenConfigurations(t *testing.T) {
	t.Parallel()
	good := exampleFile(t, "recipes/mongodb.yaml")
	for _, c := range []struct{ old, new, want string }{
		{"Not run by our tests", "Run by our tests", "Not run"},
		{"interlock run --config", "interlock start --config", "one command"},
		{"mongodb.yaml --", "other.yaml --", "does not name"},
		{"data: ", "dato: ", "dato"},
		{"grace: 60s", "grace: 60", "60"},
		{"path: /srv/mongo,", "path: /srv/other,", "the mount that holds"},
		{"listen: \"127.0.0.1:9909\"", "listen: \"127.0.0.1:9909\"\norchestrator: {grace: 30s}", "a stop may take"},
	} {
		text := strings.Replace(good, c.old, c.new, 1)
		file := filepath.Join(t.TempDir(), "mongodb.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil || text == good {
			t.Fatalf("%q: %v, or it breaks nothing", c.old, err)
		}
		if bad := strings.Join(recipe(t, file), "; "); !strings.Contains(bad, c.want) {
			t.Errorf("%q -> %q: found %q", c.old, c.new, bad)
		}
	}
}
