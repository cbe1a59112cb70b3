package citizen

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// words splits a command as sh does, for what examples use: single quotes alone, nothing that sh would
// expand or take for more than one command.
func words(command string) ([]string, error) {
	var out []string
	for i, part := range strings.Split(command, "'") {
		if i%2 == 1 {
			out = append(out, part)
			continue
		}
		if strings.ContainsAny(part, "$`\\\"|&;<>()#") {
			return nil, fmt.Errorf("%q: a shell would make something else of it", part)
		}
		out = append(out, strings.Fields(part)...)
	}
	return out, nil
}

// checkCommand is what check-config says of `…/interlock run … -- COMMAND`; the lines tell what is wrong.
func checkCommand(t testing.TB, env, argv []string) (checkup, []string) {
	t.Helper()
	if len(argv) < 2 || filepath.Base(argv[0]) != "interlock" || argv[1] != "run" || !slices.Contains(argv, "--") {
		return checkup{}, []string{fmt.Sprintf("%q: expected interlock run … -- COMMAND", argv)}
	}
	doc := checked(t, env, argv[2:]...)
	var bad []string
	for _, e := range doc.Errors {
		bad = append(bad, e.Where+": "+e.What)
	}
	for _, f := range doc.Findings {
		bad = append(bad, f.What)
	}
	return doc, append(bad, doc.Warnings...)
}

// seconds reads a duration of check-config.
func (c checkup) seconds(key string) float64 {
	d, err := time.ParseDuration(fmt.Sprint(c.value(key)))
	if err != nil {
		return -1
	}
	return d.Seconds()
}

// mounts are the paths that must be mounts.
func (c checkup) mounts() []string {
	var paths []string
	list, _ := c.value("mounts").([]any)
	for _, m := range list {
		if fields, is := m.(map[string]any); is {
			paths = append(paths, fmt.Sprint(fields["path"]))
		}
	}
	return paths
}
