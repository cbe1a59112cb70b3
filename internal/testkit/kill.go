package testkit

import (
	"errors"

	"golang.org/x/sys/unix"
)

// signalTask goes through a pidfd: between reading /proc and the signal the
// number may have passed to a process of somebody else.
func signalTask(p task, sig unix.Signal) error {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if _, ok := p.same(); !ok {
		return nil
	}
	err = unix.PidfdSendSignal(fd, sig, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// killTree ends a process and all below it. It stops them first so that none
// forks while the list is read; the rounds are bounded.
func killTree(pid int) error {
	top, ok := readTask(pid)
	if !ok {
		return nil
	}
	seen := map[task]bool{}
	for range 20 {
		fresh := 0
		for _, p := range append([]task{top}, live(descendants(pid))...) {
			key := task{pid: p.pid, start: p.start}
			if seen[key] {
				continue
			}
			seen[key] = true
			fresh++
			if err := signalTask(p, unix.SIGSTOP); err != nil {
				return err
			}
		}
		if fresh == 0 {
			break
		}
	}
	return killAll(seen)
}

func killAll(all map[task]bool) error {
	var errs []error
	for p := range all {
		errs = append(errs, signalTask(p, unix.SIGKILL))
	}
	return errors.Join(errs...)
}
