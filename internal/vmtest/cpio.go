package vmtest

import (
	"fmt"
	"io"
	"io/fs"
	"path"
)

// archive writes the format that the kernel unpacks as its first root ("newc").
type archive struct {
	to   io.Writer
	seen map[string]bool
	ino  int
	err  error // the first one; nothing is written after it
}

func newArchive(to io.Writer) *archive { return &archive{to: to, seen: map[string]bool{}} }

// The types of a file in its mode.
const (
	typeDir  = 0o040000
	typeFile = 0o100000
	typeLink = 0o120000
	typeChar = 0o020000
)

func (a *archive) dir(name string) {
	if name == "." || name == "/" || a.seen[name] {
		return
	}
	a.dir(path.Dir(name))
	a.entry(name, typeDir|0o755, nil, 0)
}

func (a *archive) file(name string, mode fs.FileMode, content []byte) {
	a.dir(path.Dir(name))
	a.entry(name, typeFile|uint32(mode.Perm()), content, 0)
}

func (a *archive) link(name, target string) {
	a.dir(path.Dir(name))
	a.entry(name, typeLink|0o777, []byte(target), 0)
}

func (a *archive) device(name string, major, minor int) {
	a.dir(path.Dir(name))
	a.entry(name, typeChar|0o600, nil, major<<8|minor)
}

// entry writes one member, the first of each name.
func (a *archive) entry(name string, mode uint32, content []byte, dev int) {
	if a.seen[name] || a.err != nil {
		return
	}
	a.seen[name] = true
	a.ino++
	stored := name
	if stored[0] == '/' {
		stored = stored[1:]
	}
	head := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		a.ino, mode, 0, 0, 1, 0, len(content), 0, 0, dev>>8, dev&0xff, len(stored)+1, 0)
	a.write([]byte(head + stored + "\x00"))
	a.pad(len(head) + len(stored) + 1)
	a.write(content)
	a.pad(len(content))
}

// close writes the mark of the end.
func (a *archive) close() error {
	a.entry("TRAILER!!!", 0, nil, 0)
	return a.err
}

func (a *archive) pad(n int) { a.write(make([]byte, (4-n%4)%4)) }

func (a *archive) write(b []byte) {
	if a.err == nil {
		_, a.err = a.to.Write(b)
	}
}
