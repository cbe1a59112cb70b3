package courier

import (
	"log/slog"

	"golang.org/x/sys/unix"
)

// niceness of a backup beside a payload that serves.
const niceness = 15

// The class of ioprio_set(2) that only gets what nobody else wants; its header is not in x/sys.
const (
	ioprioWhoGroup  = 2
	ioprioClassIdle = 3
	ioprioShift     = 13
)

// lower makes way for the payload: our process group is ours alone (the guard starts each process so), and
// the calls reach all threads of it, which the calls for a process do not. It is a wish: what cannot be had
// is said and does not matter.
func lower(log *slog.Logger) {
	var nice error
	if raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err != nil || 20-raw < niceness { // the kernel answers 20-n
		nice = unix.Setpriority(unix.PRIO_PGRP, 0, niceness)
	}
	_, _, errno := unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoGroup, 0, ioprioClassIdle<<ioprioShift)
	if nice != nil || errno != 0 {
		log.Info("the priority of the backup cannot be lowered", "processor", nice, "disk", errno)
	}
}
