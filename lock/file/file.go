// Package file is the lock driver for one host: an open file description lock (OFD) on a local file,
// which is also the state record. It needs no server.
//
// Promise: the lock is free only when it was released, or when the last process that has the held open
// file description is gone; the record survives a crash at any point, and the token never goes back while
// the file is there. Non-promise: the kernel grants in no particular order, nothing runs out by time, and
// a file that is removed or replaced under a holder is noticed at its next heartbeat, not before. It is
// no lock between hosts: filesystems that are shared are refused. Called by cmd/interlock.
package file

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/lock"
)

type driver struct {
	path string
	set  lock.Settings
	lane lane
}

// Open checks that a lock can lie at the path of u, without creating it.
func Open(ctx context.Context, u *url.URL, s lock.Settings) (lock.Driver, error) {
	path, err := pathOf(u)
	if err != nil {
		return nil, err
	}
	d := &driver{path: path, set: s, lane: newLane()}
	err = d.bounded(ctx, "look at it", func() error { return checkPath(path) })
	if err != nil {
		return nil, err
	}
	return d, nil
}

// bounded runs file work for at most one try: a disk that hangs must not hang the caller.
func (d *driver) bounded(ctx context.Context, what string, work func() error) error {
	ctx, cancel := context.WithTimeout(ctx, d.set.Timing.TryTimeout)
	defer cancel()
	err, late := do(ctx, d.lane, work)
	if late != nil {
		return hung(d.path, what, late)
	}
	return err
}

// hung says that the filesystem did not answer in time: nothing is known, least of all absence.
func hung(path, what string, err error) error {
	return fmt.Errorf("lock file %s: cannot %s in time (%w): %w: expected a local disk that answers; look at the disk", path, what, err, lock.ErrUnreachable)
}

// Join opens the lock file, creating it where there is none.
func (d *driver) Join(ctx context.Context) (lock.Place, error) {
	ctx, cancel := context.WithTimeout(ctx, d.set.Timing.TryTimeout)
	defer cancel()
	type opened struct {
		fd  int
		err error
	}
	got, late := do(ctx, d.lane, func() opened {
		fd, err := openOrCreate(d.path)
		if err == nil && ctx.Err() != nil { // nobody is there any more to close it
			err = errors.Join(ctx.Err(), unix.Close(fd))
		}
		return opened{fd, err}
	})
	if late != nil {
		return nil, hung(d.path, "open it", late)
	}
	if got.err != nil {
		return nil, got.err
	}
	return newPlace(d, got.fd), nil
}

// View reads the file without joining. Beyond the holder no queue is known: the kernel tells nobody.
func (d *driver) View(ctx context.Context) (lock.View, error) {
	var v lock.View
	err := d.bounded(ctx, "read it", func() error {
		got, err := look(d.path)
		if err == nil {
			v = got
		}
		return err
	})
	if err != nil {
		return lock.View{}, err
	}
	return v, nil
}

// look opens, reads and closes.
func look(path string) (v lock.View, err error) {
	fd, err := unix.Open(path, unix.O_RDONLY|openFlags, 0)
	if errors.Is(err, unix.ENOENT) {
		return lock.View{}, nil
	}
	if err != nil {
		return lock.View{}, classify(path, "open it for reading", err)
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	s := store{path: path, fd: fd}
	now, err := s.load()
	if err != nil {
		return lock.View{}, err
	}
	held, err := isHeld(fd)
	if err != nil {
		return lock.View{}, classify(path, "ask whether it is locked", err)
	}
	v.Record = now.record()
	if v.Record.Exists() {
		v.RecordAge = max(0, time.Since(now.Written))
	}
	if held {
		v.Queue = []lock.Waiter{now.holder(path)}
	}
	return v, nil
}

// holder describes who wrote the latest grant.
func (s snapshot) holder(path string) lock.Waiter {
	return lock.Waiter{Key: path, Holder: s.Holder, Token: fence.Token(s.Token), Since: s.Granted}
}

// Close has no connection to end. Held places keep their descriptors, so the lock stays held until this
// process and everybody whom the descriptor was passed to are gone.
func (d *driver) Close() error { return nil }
