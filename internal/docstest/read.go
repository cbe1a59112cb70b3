package docstest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	fence = regexp.MustCompile("(?m)^```[^`]*^```")
	span  = regexp.MustCompile("`[^`\n]+`")
	link  = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	rule  = regexp.MustCompile(`\b[WTE][1-9]\b`)
)

// deadLinks are the relative links of a document that lead to no file of the tree.
func deadLinks(tree fs.FS, name, text string) []string {
	text = span.ReplaceAllString(fence.ReplaceAllString(text, ""), "")
	var dead []string
	for _, m := range link.FindAllStringSubmatch(text, -1) {
		to, _, _ := strings.Cut(m[1], "#")
		if to == "" || strings.Contains(to, "://") {
			continue
		}
		if _, err := fs.Stat(tree, path.Join(path.Dir(name), to)); err != nil {
			dead = append(dead, m[1])
		}
	}
	return dead
}

// untraced are the rules that a protocol states and that no row of a trace begins with. The headings of
// its sections 2 and 6 count as the rules 2 and 6, because what these say has no names.
func untraced(protocol, trace string) []string {
	rules := rule.FindAllString(protocol, -1)
	for _, section := range []string{"2", "6"} {
		if strings.Contains(protocol, "\n## "+section+". ") {
			rules = append(rules, section)
		}
	}
	slices.Sort(rules)
	var missing []string
	for _, r := range slices.Compact(rules) {
		if !strings.Contains(trace, "\n| "+r+" ") {
			missing = append(missing, r)
		}
	}
	return missing
}

// unknownNames are the code spans of a trace, `file: name`, that name no file of the tree, or nothing in it.
// A span without a slash is no file.
func unknownNames(tree fs.FS, trace string) []string {
	var unknown []string
	for _, s := range span.FindAllString(trace, -1) {
		file, name, named := strings.Cut(strings.Trim(s, "`"), ": ")
		if !strings.Contains(file, "/") {
			continue
		}
		declared, literals, err := namesIn(tree, file)
		if err != nil || named && !slices.Contains(append(declared, literals...), name) {
			unknown = append(unknown, s)
		}
	}
	return unknown
}

// namesIn are the functions, constants and variables that a Go file declares, and its string literals.
func namesIn(tree fs.FS, file string) (declared, literals []string, err error) {
	source, err := fs.ReadFile(tree, file)
	if err != nil {
		return nil, nil, err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, source, 0)
	if err != nil {
		return nil, nil, err
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			declared = append(declared, n.Name.Name)
		case *ast.ValueSpec:
			for _, id := range n.Names {
				declared = append(declared, id.Name)
			}
		case *ast.BasicLit:
			if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
				literals = append(literals, text)
			}
		}
		return true
	})
	return declared, literals, nil
}
