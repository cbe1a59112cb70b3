package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// A watch notices that the lock file is removed or replaced at once, and not only at the next heartbeat.
// It is a hint: where it cannot be had, heartbeats find the same a little later.
type watch struct {
	events *os.File
	done   chan struct{}
}

// moved are the events of a directory by which a name in it comes to mean another file.
const moved = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO |
	unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_UNMOUNT

// watchName calls gone once when path no longer leads to the file that is open as fd.
func watchName(path string, fd int, gone func()) (*watch, error) {
	var own unix.Stat_t
	if err := unix.Fstat(fd, &own); err != nil {
		return nil, err
	}
	in, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	if _, err := unix.InotifyAddWatch(in, filepath.Dir(path), moved); err != nil {
		return nil, errors.Join(err, unix.Close(in))
	}
	w := &watch{events: os.NewFile(uintptr(in), "inotify"), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.follow(path, own, gone)
	}()
	return w, nil
}

// follow looks anew at each event; which one it was does not matter. It begins with a look, because the
// name may have moved before the watch stood.
func (w *watch) follow(path string, own unix.Stat_t, gone func()) {
	buf := make([]byte, 4096)
	for leadsTo(path, own) {
		if _, err := w.events.Read(buf); err != nil {
			return // closed by end
		}
	}
	gone()
}

// leadsTo is true also where it cannot be told: a hint says only what is known.
func leadsTo(path string, own unix.Stat_t) bool {
	info, err := os.Stat(path)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return !ok || st.Dev == own.Dev && st.Ino == own.Ino
}

// end stops the watch and waits for it; nil is none.
func (w *watch) end() error {
	if w == nil {
		return nil
	}
	err := w.events.Close()
	<-w.done
	return err
}
