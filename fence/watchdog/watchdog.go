// Package watchdog resets this machine when nothing else can end the payload in time.
//
// Promise: armed with the first lease, the device is petted only while its time and the margin still fit
// before the lease's deadline, so that a machine whose holder cannot renew, or whose agent is stopped or
// dead, is reset before a successor may start; it is disarmed on Disarm alone. Non-promise: it is as good as
// the device: softdog ends with a kernel that hangs; a virtual one may stop with its machine. Called by
// internal/lifecycle.
package watchdog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/clock"
)

// A device is an open watchdog: opening armed it.
type device interface {
	SetTimeout(seconds int) (granted int, err error)
	Pet() error
	// Disarm closes it in the way that stops it; any other end of it leaves it armed.
	Disarm() error
}

// Timer is one watchdog over one tenure. Its methods are called from one goroutine.
type Timer struct {
	path   string
	within time.Duration // W
	margin time.Duration
	open   func(path string) (device, error)
	dev    device
}

// New makes a timer that is not armed. within is W: the machine is reset at most that long after the last
// pet, in whole seconds.
func New(path string, within, margin time.Duration) *Timer {
	return &Timer{path: path, within: within.Truncate(time.Second), margin: margin, open: openDevice}
}

// Fits is the largest W for which an ordinary heartbeat, after all its tries, still comes in time: usable is
// what an acknowledged heartbeat is good for, renewal how long the next may take at worst.
func Fits(usable, renewal, margin time.Duration) (time.Duration, error) {
	w := (usable - renewal - margin).Truncate(time.Second)
	if w < time.Second {
		return 0, fmt.Errorf("a watchdog of at least 1s does not fit: a lease is good for %v, its renewal may take %v, margin %v: raise hold, or lower heartbeat or try-timeout", usable, renewal, margin)
	}
	return w, nil
}

// Check tells what is wrong with a device without opening it, which would arm it.
func Check(path string) error { return check(path, "/sys") }

func check(path, sys string) error {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return fmt.Errorf("watchdog %s: %w: load the driver of the machine's watchdog, or softdog", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR {
		return fmt.Errorf("watchdog %s is no character device", path)
	}
	if unix.Access(path, unix.W_OK) != nil {
		return fmt.Errorf("watchdog %s cannot be written by this user", path)
	}
	b, err := os.ReadFile(filepath.Join(attributes(sys, st.Rdev), "nowayout"))
	switch {
	case errors.Is(err, fs.ErrNotExist): // a kernel that does not tell
		return nil
	case err != nil:
		return fmt.Errorf("watchdog %s: not known whether it can be disarmed: %w", path, err)
	case strings.TrimSpace(string(b)) == "1":
		return fmt.Errorf("watchdog %s cannot be disarmed (nowayout is set): every ordinary stop would reset the machine: load its driver with nowayout=0", path)
	}
	return nil
}

// attributes is where the kernel tells about a device, whatever its path is called. The old number of
// /dev/watchdog, a misc device, stands for the first one.
func attributes(sys string, number uint64) string {
	if number == unix.Mkdev(10, 130) {
		return filepath.Join(sys, "class/watchdog/watchdog0")
	}
	return filepath.Join(sys, "dev/char", fmt.Sprintf("%d:%d", unix.Major(number), unix.Minor(number)))
}

// Arm opens the device, which starts it, for a lease until deadline. From then on only pets keep the machine
// up. Without time for one before the deadline it is not armed.
func (t *Timer) Arm(now, deadline clock.Stamp) error {
	if t.dev != nil {
		return nil
	}
	if !t.fits(now, deadline) {
		return fmt.Errorf("watchdog %s: %v and the margin %v do not fit before the deadline: not armed", t.path, t.within, t.margin)
	}
	dev, err := t.open(t.path)
	if err != nil {
		return fmt.Errorf("watchdog %s: %w: does another program (systemd, watchdogd) have it?", t.path, err)
	}
	granted, err := dev.SetTimeout(int(t.within / time.Second))
	if err == nil && (granted < 1 || time.Duration(granted)*time.Second > t.within) {
		err = fmt.Errorf("it resets after %d s, asked for at most %v", granted, t.within)
	}
	if err == nil {
		err = dev.Pet()
	}
	if err != nil {
		return fmt.Errorf("watchdog %s: %w", t.path, errors.Join(err, dev.Disarm()))
	}
	t.dev = dev
	return nil
}

// Armed tells whether the machine will be reset without further pets.
func (t *Timer) Armed() bool { return t.dev != nil }

// Pet keeps the machine up for another W, if that ends before the deadline by the margin; else it is left
// to fire, unless Disarm comes first. It reports whether the device was petted.
func (t *Timer) Pet(now, deadline clock.Stamp) (bool, error) {
	if t.dev == nil || !t.fits(now, deadline) {
		return false, nil
	}
	if err := t.dev.Pet(); err != nil {
		return false, fmt.Errorf("watchdog %s: %w", t.path, err)
	}
	return true, nil
}

// fits is the inequality: now + W + margin <= deadline, on both clocks.
func (t *Timer) fits(now, deadline clock.Stamp) bool {
	return now.HolderSince(deadline)+t.within+t.margin <= 0
}

// Disarm is for a clean end: everything is dead, and what it wrote has arrived.
func (t *Timer) Disarm() error {
	if t.dev == nil {
		return nil
	}
	dev := t.dev
	t.dev = nil
	if err := dev.Disarm(); err != nil {
		return fmt.Errorf("watchdog %s: %w", t.path, err)
	}
	return nil
}
