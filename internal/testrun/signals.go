package main

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// resetSignals undoes what GNU make leaves its commands with: glibc's
// posix_spawn makes them ignore signals 32 and 33, and what is ignored is
// inherited. Tests that look at inherited signals shall see what a shell gives.
func resetSignals() error {
	var byDefault [4]uint64 // the kernel's struct sigaction: handler, flags, restorer, mask
	for _, sig := range []uintptr{32, 33} {
		_, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&byDefault)), 0, 8, 0, 0)
		if e != 0 {
			return fmt.Errorf("cannot reset signal %d: %w", sig, e)
		}
	}
	return nil
}
