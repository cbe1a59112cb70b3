package config

import (
	"bytes"
	"fmt"
	"strings"
)

const sampleHead = `# interlock.yaml: every key there is. Lines that begin with "#" and no space are examples; all others
# that begin with "#" are text. Except for lock.url and data, the values in force are the defaults.
# Flags go over variables, variables over this file; lists replace, they never merge.
`

// Sample is examples/interlock.yaml: a file that works as it is, with every field in it.
func Sample() []byte {
	var b bytes.Buffer
	b.WriteString(sampleHead)
	var open []string // the sections that the last line stands in
	for _, f := range Fields() {
		path := strings.Split(f.Key, ".")
		sections := path[:len(path)-1]
		for i := range sections {
			if i >= len(open) || strings.Join(open[:i+1], ".") != strings.Join(sections[:i+1], ".") {
				fmt.Fprintf(&b, "\n%s%s:\n", indent(i), sections[i])
				open = append(open[:i:i], sections[i])
			}
		}
		if len(sections) == 0 {
			b.WriteString("\n")
		}
		open = sections
		sampleField(&b, f, indent(len(sections)), path[len(sections)])
	}
	return b.Bytes()
}

func sampleField(b *bytes.Buffer, f Field, indent, key string) {
	for _, line := range wrap(fmt.Sprintf("%s (--%s, %s)", f.Help, f.Flag, f.Variable()), 100) {
		fmt.Fprintf(b, "%s# %s\n", indent, line)
	}
	if f.Unset != "" {
		fmt.Fprintf(b, "%s# default: %s\n", indent, f.Unset)
	}
	if f.Example == "" {
		fmt.Fprintf(b, "%s%s: %s\n", indent, key, f.DefaultText())
		return
	}
	mark := "#"
	if f.Key == "lock.url" || f.Key == "data" {
		mark = ""
	}
	fmt.Fprintf(b, "%s%s%s: %s\n", indent, mark, key, f.Example)
}

func indent(depth int) string { return strings.Repeat("  ", depth) }

// wrap breaks text at spaces into lines of at most width bytes, where words allow it.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(lines, line)
}
