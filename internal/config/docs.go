package config

import (
	"bytes"
	_ "embed" // the prose before the tables
	"fmt"
	"strings"
)

//go:embed docs_head.md
var docsHead string

// Docs is docs/configuration.md: the rules, then the table of fields.
func Docs() []byte {
	var b bytes.Buffer
	b.WriteString(docsHead)
	for _, g := range Groups() {
		fmt.Fprintf(&b, "\n## %s\n\n| Key | Flag | Takes | Default | Meaning |\n|---|---|---|---|---|\n", g.Title)
		for _, f := range g.Fields {
			fmt.Fprintf(&b, "| `%s` | `--%s` | %s | %s | %s |\n", f.Key, f.Flag, cell(f.Kind()), cell(f.DefaultText()), cell(f.Help))
		}
	}
	return b.Bytes()
}

func cell(s string) string {
	if s == "" {
		return "none"
	}
	return strings.ReplaceAll(s, "|", `\|`)
}
