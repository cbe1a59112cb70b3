package fstree

import (
	"errors"
	"fmt"
	"iter"

	"golang.org/x/sys/unix"
)

// Walk gives all entries in the order of Compare, the root first. An error comes with the path in an
// otherwise empty entry; going on after one that is Moving leaves that entry out, going on after any other
// makes an incomplete copy. Memory: the names of the directories from the root down to the present one,
// and the open ends of hard links.
func (t *Tree) Walk() iter.Seq2[Entry, error] { return t.walk(false) }

// Look is Walk without extended attributes and notes, in half the time: for who walks a second time to see
// whether anything has changed. A change of attributes shows in the Ctime.
func (t *Tree) Look() iter.Seq2[Entry, error] { return t.walk(true) }

func (t *Tree) walk(again bool) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		w := &walker{t: t, s: newStack(t), yield: yield, fds: proc(t.fd), again: again}
		w.run()
		if err := w.s.close(); err != nil && !w.ended {
			yield(Entry{}, err)
		}
	}
}

// A walker is one walk.
type walker struct {
	t     *Tree
	s     *stack
	yield func(Entry, error) bool
	ended bool // the consumer wants no more
	bare  bool // no attributes, links and notes: only what is there, sockets too
	again bool // no attributes and notes
	skip  bool // what was given last shall not be entered
	links links
	fds   string // path by which the directory's names are reached for xattrs
	dumb  bool   // the filesystem has no extended attributes
}

func (w *walker) give(e Entry, err error) {
	if err != nil {
		e = Entry{Path: e.Path}
	}
	w.ended = !w.yield(e, err) || w.ended
}

// run ends because each turn takes a name or leaves a directory.
func (w *walker) run() {
	fd, err := w.t.openDir(w.t.fd, ".")
	if err != nil {
		w.give(Entry{Path: Root}, failed("open directory", w.t.path, err))
		return
	}
	e, err := w.entry(fd, "", Root)
	w.give(e, err)
	if err != nil || w.ended {
		if err := unix.Close(fd); err != nil && !w.ended {
			w.give(Entry{Path: Root}, failed("close", w.t.path, err))
		}
		return
	}
	w.enter(Root, "", fd)
	for len(w.s.frames) > 0 && !w.ended {
		if name, ok := w.s.top().names.take(); ok {
			w.name(name)
		} else {
			w.up()
		}
	}
}

// enter makes an open directory the present one.
func (w *walker) enter(path, name string, fd int) {
	if err := w.s.enter(path, name, fd); err != nil {
		w.give(Entry{Path: path}, gone(path, err))
	}
	w.fds = proc(w.s.top().fd)
}

// up leaves a directory. That names came or went meanwhile shows in its times.
func (w *walker) up() {
	f := w.s.top()
	if !w.bare && f.fd >= 0 {
		now, err := statAt(f.fd, "")
		if err != nil {
			err = failed("stat", f.path, err)
		} else if now.Ctime != f.st.Ctime || now.Mtime != f.st.Mtime {
			err = fmt.Errorf("directory %q: %w", f.path, ErrChanged)
		}
		if err != nil {
			w.give(Entry{Path: f.path}, err)
		}
	}
	if err := w.s.leave(); err != nil && !w.ended {
		w.give(Entry{Path: f.path}, gone(f.path, err))
	}
	if len(w.s.frames) > 0 {
		w.fds = proc(w.s.top().fd)
	}
}

// name deals with one name of the present directory.
func (w *walker) name(name string) {
	dir := w.s.top()
	path := join(dir.path, name)
	if w.t.skip.match(dir.path, name) {
		return
	}
	e, err := w.entry(dir.fd, name, path)
	if err != nil {
		w.give(Entry{Path: path}, gone(path, err))
		return
	}
	if e.Kind == 0 && !w.bare {
		return // a note tells why
	}
	w.skip = false
	w.give(e, nil)
	if e.Kind == Dir && !w.ended && !w.skip {
		w.down(dir, name, &e)
	}
}

// down enters a directory that was just given. It must still be the one that was looked at.
func (w *walker) down(dir *frame, name string, e *Entry) {
	fd, err := w.open(dir.fd, name)
	if err != nil {
		w.give(Entry{Path: e.Path}, gone(e.Path, failed("open directory", e.Path, err)))
		return
	}
	w.enter(e.Path, name, fd)
	if st := &w.s.top().st; !w.bare && (st.Ino != e.Ino || timeOf(st.Ctime) != e.Ctime) && !w.ended {
		w.give(Entry{Path: e.Path}, fmt.Errorf("directory %q: %w", e.Path, ErrChanged))
	}
}

// open is openDir; a bare walk is one of a target, where directories are opened up for their owner.
func (w *walker) open(dir int, name string) (int, error) {
	if w.bare {
		return w.t.openWide(dir, name)
	}
	return w.t.openDir(dir, name)
}

// openDir opens a directory for listing, without a trace in its access time where that is allowed.
func (t *Tree) openDir(dir int, name string) (int, error) {
	flags := unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_NOATIME
	fd, err := t.openAt(dir, name, flags, 0)
	if err == unix.EPERM {
		return t.openAt(dir, name, flags&^unix.O_NOATIME, 0)
	}
	return fd, err
}

// gone marks what an absent file means in the middle of a walk: its name was there a moment ago.
func gone(path string, err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return fmt.Errorf("%q: %w", path, ErrVanished)
	}
	return err
}
