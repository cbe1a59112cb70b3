package vmtest

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// toolPath is where Debian's commands are; ordinary users often lack half of it.
const toolPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// findTool is exec.LookPath with toolPath.
func findTool(name string) (string, error) {
	for dir := range strings.SplitSeq(toolPath, ":") {
		path := filepath.Join(dir, name)
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", lacking("%s is not installed", name)
}

// placed is a path as it is with /bin, /sbin and /lib being links into /usr, as in the machine.
func placed(path string) string {
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return path
	}
	return filepath.Join(dir, filepath.Base(path))
}

// program adds a program or library of the host at the place that is given, and the libraries it needs.
func (a *archive) program(ctx context.Context, from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	a.file(to, 0o755, content)
	libs, err := libraries(ctx, from, content)
	for _, lib := range libs {
		content, readErr := os.ReadFile(lib)
		err = errors.Join(err, readErr)
		a.file(placed(lib), 0o755, content)
	}
	return err
}

// libraries lists what the dynamic loader would load, itself included.
func libraries(ctx context.Context, path string, content []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return nil, nil //nolint:nilerr // a script
	}
	if names, err := f.ImportedLibraries(); err != nil || len(names) == 0 {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, "ldd", path).Output()
	if err != nil {
		return nil, fmt.Errorf("ldd %s: %w", path, err)
	}
	var found []string
	for line := range strings.Lines(string(out)) {
		for _, word := range strings.Fields(line) {
			if strings.HasPrefix(word, "/") && !slices.Contains(found, word) {
				found = append(found, word)
			}
		}
	}
	return found, nil
}

// modules adds modules and those that they need.
func (a *archive) modules(k kernel, names []string) error {
	base := "/usr/lib/modules/" + k.version
	lists, err := filepath.Glob(filepath.Join(k.modules(), "modules.*"))
	if err != nil {
		return err
	}
	deps, err := os.ReadFile(filepath.Join(k.modules(), "modules.dep"))
	if err != nil {
		return err
	}
	wanted, err := withDependencies(string(deps), names)
	if err != nil {
		return err
	}
	for _, l := range lists {
		wanted = append(wanted, filepath.Base(l))
	}
	for _, w := range wanted {
		content, err := os.ReadFile(filepath.Join(k.modules(), w))
		if err != nil {
			return err
		}
		a.file(base+"/"+w, 0o644, content)
	}
	return nil
}

// withDependencies reads modules.dep, in which each line names all that a module needs.
func withDependencies(deps string, names []string) ([]string, error) {
	var files []string
	for _, name := range names {
		found := false
		for line := range strings.Lines(deps) {
			file, needs, _ := strings.Cut(strings.TrimSpace(line), ":")
			if moduleName(file) != moduleName(name) {
				continue
			}
			found = true
			files = append(files, file)
			files = append(files, strings.Fields(needs)...)
		}
		if !found {
			return nil, fmt.Errorf("the kernel has no module %s", name)
		}
	}
	return files, nil
}

// moduleName is that of a file, in the one of its two spellings that the kernel uses.
func moduleName(file string) string {
	name, _, _ := strings.Cut(filepath.Base(file), ".")
	return strings.ReplaceAll(name, "-", "_")
}
