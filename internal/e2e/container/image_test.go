package container

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
)

// instructions of a Dockerfile that has no line continuations.
func instructions(t testing.TB, path string) [][2]string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all [][2]string
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		if word, rest, _ := strings.Cut(line, " "); line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, [2]string{word, rest})
		}
	}
	return all
}

// The image of the example, built by hand: nothing but the one file, which runs in it.
func TestImage(t *testing.T) {
	top, err := testkit.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	has := map[string]string{}
	var order []string
	for _, i := range instructions(t, filepath.Join(top, "examples/container/Dockerfile")) {
		order = append(order, i[0])
		has[i[0]] = i[1]
	}
	if !slices.Equal(order, []string{"FROM", "COPY", "USER", "ENTRYPOINT", "CMD"}) || has["FROM"] != "scratch" || has["COPY"] != "interlock /interlock" {
		t.Fatalf("instructions %q, %q: expected one file in an empty image", order, has)
	}
	uid, gid, _ := strings.Cut(has["USER"], ":")
	user := tree{}
	for name, number := range map[string]string{"uid": uid, "gid": gid} {
		if user[name], err = strconv.Atoi(number); err != nil {
			t.Errorf("USER %s is no pair of numbers: the image has no passwd file", has["USER"])
		}
	}
	var entry, words []string
	if err := json.Unmarshal([]byte(has["ENTRYPOINT"]), &entry); err != nil {
		t.Fatalf("ENTRYPOINT is not in the exec form: %v", err)
	}
	if err := json.Unmarshal([]byte(has["CMD"]), &words); err != nil {
		t.Fatalf("CMD is not in the exec form: %v", err)
	}
	needRunc(t)
	b := newBox(t)
	if err := os.Remove(filepath.Join(b.rootfs, "payload")); err != nil {
		t.Fatal(err)
	}
	asked := func(spec tree) { part(spec, "process")["user"] = user }
	p := b.start(t, testkit.PublicDir(t), append(entry, words...), asked)
	if code := p.Wait(t, 20*time.Second); code != 0 || !strings.Contains(p.Stdout(t), "interlock run") && !strings.Contains(p.Stdout(t), "COMMANDS") {
		t.Errorf("%v %v in the image ended with %d: %s", entry, words, code, p.Stdout(t))
	}
}
