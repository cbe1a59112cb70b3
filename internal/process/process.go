// Package process reads what the kernel tells of processes in /proc.
//
// Promise: a process whose first thread has ended while others live is not dead, although the kernel calls it a
// zombie. Who is there, who is whose child and who has ended is told without waiting for anything (Numbers, Family,
// Ended). Non-promise: a number alone names a process for a moment only; with its start it names one for ever. That
// start is in /proc/PID/stat (proc_pid_stat(5)), and a look at that can hang for as long as a dead filesystem does: a
// Lookout waits for it only so long. Imported by what proves deaths, and by what looks for processes that hang; it
// imports nothing of ours, and nothing for which a role of the program would have to wait at its start.
package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
)

// A Stat is what is read of one process or thread.
type Stat struct {
	State   byte
	Parent  int
	Threads int    // of a process that has ended, 0 or 1
	Start   string // in ticks since the machine's start: with the number it names one process for ever
}

// Fields after the name, from 0.
const (
	state   = 0
	parent  = 1
	threads = 17
	start   = 19
)

// Read looks at a process, however long that takes. The error is that of the file: ENOENT or ESRCH for one that is gone.
func Read(pid int) (Stat, error) {
	return read("/proc/" + strconv.Itoa(pid) + "/stat")
}

func read(path string) (Stat, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Stat{}, err
	}
	s, err := Parse(text)
	if err != nil {
		return Stat{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// Parse takes the fields after the last ")": the name before it may hold anything.
func Parse(text []byte) (s Stat, err error) {
	f := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(f) <= start || len(f[state]) != 1 {
		return Stat{}, fmt.Errorf("found %d fields after the name: expected %d or more", len(f), start+1)
	}
	s.State, s.Start = f[state][0], string(f[start])
	if s.Parent, err = strconv.Atoi(string(f[parent])); err == nil {
		s.Threads, err = strconv.Atoi(string(f[threads]))
	}
	return s, err
}

// OwnView checks that /proc shows our own PID namespace: the numbers of another one's would be signalled to the
// wrong processes, and counting them proves nothing.
func OwnView() error {
	self, err := os.Readlink("/proc/self")
	if err != nil {
		return err
	}
	if self != strconv.Itoa(os.Getpid()) {
		return errors.New("/proc shows another PID namespace: mount this one's own")
	}
	return nil
}

// Ended tells whether it runs no more, whether its parent has heard of it or not. One whose first thread is dead
// has not while others live: they may run on, or be stuck in the kernel after a SIGKILL.
func (s Stat) Ended() bool { return (s.State == 'Z' || s.State == 'X') && s.Threads <= 1 }

// Asleep tells whether a thread of the process is in uninterruptible sleep, which a SIGKILL may not end.
func Asleep(pid int) bool {
	dir := "/proc/" + strconv.Itoa(pid) + "/task/"
	tasks, err := os.ReadDir(dir)
	return err == nil && slices.ContainsFunc(tasks, func(t os.DirEntry) bool {
		s, err := read(dir + t.Name() + "/stat")
		return err == nil && s.State == 'D'
	})
}
