package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

const module = "github.com/interlock-run/interlock/"

// A source is one parsed Go file of the module.
type source struct {
	name    string // from the module's root, with slashes
	dir     string
	test    bool
	imports []string // those of this module without its prefix
	syntax  *ast.File
	files   *token.FileSet
}

// parse reads every Go file below root. It reads the files themselves because what `go list` says is
// cached, and knows nothing of files that another platform builds.
func parse(root fs.FS) ([]source, error) {
	var sources []source
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		s, err := parseFile(root, name)
		sources = append(sources, s)
		return err
	})
	return sources, err
}

func parseFile(root fs.FS, name string) (source, error) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return source{}, err
	}
	s := source{name: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), files: token.NewFileSet()}
	if s.syntax, err = parser.ParseFile(s.files, name, text, parser.ParseComments|parser.SkipObjectResolution); err != nil {
		return source{}, err
	}
	for _, spec := range s.syntax.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return source{}, fmt.Errorf("%s: import %s: %w", name, spec.Path.Value, err)
		}
		s.imports = append(s.imports, imported)
	}
	return s, nil
}

// ours are the imports of this module, without its prefix.
func (s source) ours() []string {
	var list []string
	for _, i := range s.imports {
		if rest, is := strings.CutPrefix(i, module); is {
			list = append(list, rest)
		}
	}
	return list
}

// under tells whether dir is top or lies below it.
func under(dir, top string) bool { return dir == top || strings.HasPrefix(dir, top+"/") }
