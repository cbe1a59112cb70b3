// Package oom counts the processes that the kernel killed for lack of memory in the memory cgroup that this
// process is in.
//
// Promise: the kernel raises the count before it sends the signal, so it is up when the victim's end is
// reaped; reading it waits for no filesystem. Non-promise: the count does not say which process it was, and
// a process that left for another memory cgroup is counted there. What cannot be found or read is an error,
// never zero.
//
// Called by internal/lifecycle (Open), and by supervise in the guard (Read): so it must stay light.
package oom

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Counter is the open file of the kernel's count.
type Counter struct {
	file *os.File
	at   place
}

// Open finds the count for what runs in group, a directory of the cgroup v2 tree, or, where group is empty
// or that tree does not count memory, for what runs in the cgroup that this process is in.
func Open(group string) (*Counter, error) {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	at, err := locate(string(own), string(mounts), group)
	if err != nil {
		return nil, err
	}
	return at.open()
}

var errUncounted = errors.New("no memory controller")

// open takes the nearest group that counts. A v2 group without the memory controller is counted in the one
// above it; the tree's root has no count.
func (p place) open() (*Counter, error) {
	for dir := p.dir; ; dir = path.Dir(dir) {
		f, err := os.OpenFile(path.Join(dir, p.file), os.O_RDONLY, 0)
		switch {
		case err == nil:
			return p.check(f)
		case p.v1 || !errors.Is(err, os.ErrNotExist):
			return nil, err
		case dir == p.top:
			return nil, fmt.Errorf("%w: none of the cgroups from %s up to %s has %s", errUncounted, p.dir, p.top, p.file)
		}
	}
}

// check makes sure that what was opened is the kernel's, whatever is mounted by now, and that it counts.
func (p place) check(f *os.File) (*Counter, error) {
	var st unix.Statfs_t
	err := unix.Fstatfs(int(f.Fd()), &st)
	if err == nil && st.Type != p.magic() {
		err = errors.New(f.Name() + " is no file of a cgroup")
	}
	if err == nil {
		_, err = Read(f)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Counter{f, p}, nil
}

// File is the open file: Read reads it, in any process.
func (c *Counter) File() *os.File { return c.file }

// Path names the file for messages.
func (c *Counter) Path() string { return c.file.Name() }

// Read is the count since the group was made.
func (c *Counter) Read() (uint64, error) { return Read(c.file) }

// Close lets go of the file.
func (c *Counter) Close() error { return c.file.Close() }

// Read reads the count from a Counter's file. It takes one call and a buffer that the kernel keeps with the
// open file: no allocation of file pages while there is no memory.
func Read(f *os.File) (uint64, error) {
	var buf [4096]byte
	n, err := unix.Pread(int(f.Fd()), buf[:], 0)
	if err != nil {
		return 0, &os.PathError{Op: "read", Path: f.Name(), Err: err}
	}
	for _, line := range strings.Split(string(buf[:n]), "\n") {
		if name, value, _ := strings.Cut(line, " "); name == "oom_kill" {
			return strconv.ParseUint(value, 10, 64)
		}
	}
	return 0, errors.New(f.Name() + " has no line oom_kill (Linux 4.13 and later have it)")
}
