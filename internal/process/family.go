package process

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Nothing in this file takes hold of the memory of a process, so nothing in it hangs, but where it asks a Lookout.

// Numbers are those of all processes that /proc shows, if that is our own PID namespace's.
func Numbers() ([]int, error) {
	if err := OwnView(); err != nil {
		return nil, err
	}
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	var all []int
	for _, name := range names {
		if number, err := strconv.Atoi(name); err == nil {
			all = append(all, number)
		}
	}
	return all, err
}

// Ended tells whether a process runs no more, as Stat.Ended does. Of whom that cannot be told has not.
func Ended(pid int) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return errors.Is(err, unix.ESRCH)
	}
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	_, err = unix.Poll(poll, 0)
	_ = unix.Close(fd)
	return err == nil && poll[0].Revents&unix.POLLIN != 0
}

// A Family tells who is whose child.
type Family struct {
	scanned map[int][]int // nil: the kernel's own lists are read
	unsure  map[int]bool
}

// Family is best asked for anew for each look at who is there. A kernel without lists of children
// (CONFIG_PROC_CHILDREN) has the whole process table looked through.
func (l *Lookout) Family() (Family, error) {
	if err := OwnView(); err != nil {
		return Family{}, err
	}
	_, err := os.Stat(lists(os.Getpid()) + strconv.Itoa(os.Getpid()) + "/children")
	if !errors.Is(err, unix.ENOENT) {
		return Family{}, err
	}
	return l.scan()
}

// lists is the directory of the threads, each of which has a list of its own.
func lists(pid int) string { return "/proc/" + strconv.Itoa(pid) + "/task/" }

// scan leaves out who goes away meanwhile; who may not be looked at (hidepid) is nobody's child.
func (l *Lookout) scan() (Family, error) {
	f := Family{scanned: map[int][]int{}, unsure: map[int]bool{}}
	all, err := Numbers()
	if err != nil {
		return f, err
	}
	for _, pid := range all {
		s, err := l.Stat(pid)
		switch {
		case err == nil:
			f.scanned[s.Parent] = append(f.scanned[s.Parent], pid)
		case errors.Is(err, ErrHangs):
			f.unsure[pid] = true
		case !gone(err) && !errors.Is(err, os.ErrPermission):
			return f, err
		}
	}
	return f, nil
}

// Unsure tells whether it could not be told whose child it is.
func (f Family) Unsure(pid int) bool { return f.unsure[pid] }

// Children are the children of all threads of a process, those that have ended and were not reaped too. While others
// beside it end, or its parent's thread does, one may be missing. The error: some could not be read.
func (f Family) Children(pid int) ([]int, error) {
	if f.scanned != nil {
		return f.scanned[pid], nil
	}
	dir, err := os.Open(lists(pid))
	if gone(err) || errors.Is(err, os.ErrPermission) { // hidepid
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	threads, failed := dir.Readdirnames(-1)
	if gone(failed) {
		failed = nil
	}
	var text []byte
	for _, thread := range threads {
		var err error
		if text, err = readAt(dir, thread+"/children", text); err != nil && !gone(err) {
			failed = err
		}
	}
	return numbers(text), failed
}

// readAt appends a file to text. There may be thousands of threads: this is no more than opening, reading and closing.
func readAt(dir *os.File, name string, text []byte) ([]byte, error) {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return text, err
	}
	defer unix.Close(fd)
	for {
		text = slices.Grow(text, pageSize)
		n, err := unix.Read(fd, text[len(text):cap(text)])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return text, err
		case n <= 0:
			return text, nil
		default:
			text = text[:len(text)+n]
		}
	}
}

const pageSize = 4096

func numbers(text []byte) (all []int) {
	for _, word := range bytes.Fields(text) {
		if number, err := strconv.Atoi(string(word)); err == nil {
			all = append(all, number)
		}
	}
	return all
}

// gone is the error of a process or thread that is no more.
func gone(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) }
