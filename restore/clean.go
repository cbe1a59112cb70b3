package restore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/interlock-run/interlock/internal/breakpoint"
	"github.com/interlock-run/interlock/internal/durable"
	"golang.org/x/sys/unix"
)

// clean removes all content of a data directory but .interlock, lost+found and the mount's identity. A first pass refuses,
// before anything is removed, if a mount point or the state directory lies below; the second removes. It
// holds one directory open at a time, so depth costs no descriptors, and may be killed and repeated.
func clean(data, stateDir string, inode uint64) error {
	state, err := lookAt(unix.AT_FDCWD, stateDir)
	if err != nil {
		return failed("stat", stateDir, err)
	}
	for _, dry := range []bool{true, false} {
		c := &cleaner{data: data, state: state, dry: dry}
		err := c.start(inode)
		if err == nil {
			err = c.run()
		}
		if c.cur != nil {
			err = errors.Join(err, c.cur.Close())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// A cleaner is one pass over a data directory.
type cleaner struct {
	data    string
	state   entry // the state directory, which must not be among what is removed
	dry     bool  // only look
	mount   uint64
	removed int
	cur     *os.File // the directory at the end of path
	path    []level
}

// A level is one directory between the data directory and where the cleaner is.
type level struct {
	name  string
	self  entry
	todo  []string // directories in it that are still to be entered
	first string   // what the last sweep found first
	swept bool     // dry: all of it was read
}

func (c *cleaner) start(inode uint64) error {
	f, err := openDir(c.data)
	if err != nil {
		return failed("open", c.data, err)
	}
	c.cur = f
	self, err := lookAt(int(f.Fd()), "")
	if err != nil {
		return failed("stat", c.data, err)
	}
	if self.ino != inode {
		return fmt.Errorf("%w: data directory %q: inode %d was recorded as empty, this is %d: nothing was removed", ErrRefused, c.data, inode, self.ino)
	}
	c.mount, c.path = self.mount, []level{{self: self}}
	return nil
}

// run is a loop over a stack instead of a recursion: it ends because each turn of it removes an entry,
// leaves a directory or fails.
func (c *cleaner) run() error {
	for {
		top := &c.path[len(c.path)-1]
		if n := len(top.todo); n > 0 {
			name := top.todo[n-1]
			top.todo = top.todo[:n-1]
			if err := c.enter(name); err != nil {
				return err
			}
			continue
		}
		found, err := c.sweep(top)
		if err != nil {
			return err
		}
		if found {
			continue
		}
		if len(c.path) == 1 {
			return nil
		}
		if err := c.leave(); err != nil {
			return err
		}
	}
}

// enter goes down into a directory of the current one.
func (c *cleaner) enter(name string) error {
	e, err := c.look(name)
	if err != nil {
		return err
	}
	f, err := c.open(name, e)
	if err != nil {
		return failed("open", c.at(name), err)
	}
	old := c.cur
	c.cur, c.path = f, append(c.path, level{name: name, self: e})
	return old.Close()
}

// leave goes up and removes the directory that was left. Up is "..": whether it is the directory that
// we came from is checked, not believed.
func (c *cleaner) leave() error {
	left, above := c.path[len(c.path)-1], c.path[len(c.path)-2]
	f, err := openAt(int(c.cur.Fd()), "..")
	if err != nil {
		return failed("open the parent of", c.at(""), err)
	}
	old := c.cur
	c.cur, c.path = f, c.path[:len(c.path)-1]
	if err := old.Close(); err != nil {
		return failed("close", c.at(left.name), err)
	}
	e, err := lookAt(int(f.Fd()), "")
	if err != nil {
		return failed("stat the parent of", c.at(left.name), err)
	}
	if !e.same(above.self) {
		return fmt.Errorf("%w: %q was moved while it was cleaned: end whatever works in the data directory", ErrRefused, c.at(left.name))
	}
	if c.dry {
		return nil
	}
	return c.unlink(left.name, unix.AT_REMOVEDIR)
}

func (c *cleaner) unlink(name string, flags int) error {
	err := durable.Retry(func() error { return unix.Unlinkat(int(c.cur.Fd()), name, flags) })
	if err != nil {
		return failed("remove", c.at(name), err)
	}
	c.removed++
	if breakpoint.On {
		breakpoint.At("restore:cleanup:" + strconv.Itoa(c.removed))
	}
	return nil
}

// at is the path of an entry of the current directory, for messages.
func (c *cleaner) at(name string) string {
	parts := []string{c.data}
	for _, l := range c.path {
		parts = append(parts, l.name)
	}
	return filepath.Join(append(parts, name)...)
}

// batch bounds how many names are held at once.
const batch = 1024

// sweep reads the current directory from its start until it found something, and deals with that: files
// are removed, directories noted. It tells whether there was anything.
func (c *cleaner) sweep(l *level) (bool, error) {
	if c.dry && l.swept {
		return false, nil
	}
	l.swept = true
	if _, err := c.cur.Seek(0, io.SeekStart); err != nil {
		return false, failed("list", c.at(""), err)
	}
	found := false
	for c.dry || !found {
		names, err := c.cur.Readdirnames(batch)
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return false, failed("list", c.at(""), err)
		}
		some, err := c.handle(l, names)
		if err != nil {
			return false, err
		}
		found = found || some
	}
	return true, nil
}

func (c *cleaner) handle(l *level, names []string) (bool, error) {
	first := ""
	for _, name := range names {
		e, err := c.look(name)
		if err != nil {
			return false, err
		}
		if len(c.path) == 1 && (e.dir() && (name == ours[0] || name == ours[1]) || !e.dir() && name == volumeFile) {
			continue
		}
		if first == "" {
			first = name
			if !c.dry && name == l.first {
				return false, fmt.Errorf("%q is still there after it was removed: end whatever writes into the data directory", c.at(name))
			}
		}
		if e.dir() {
			l.todo = append(l.todo, name)
		} else if !c.dry {
			if err := c.unlink(name, 0); err != nil {
				return false, err
			}
		}
	}
	l.first = first
	return first != "", nil
}
