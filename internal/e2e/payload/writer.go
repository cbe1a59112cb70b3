package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// write stores the time of each write in a file and syncs it, for ever, as a database stores its log: the
// file is opened once, and an error ends nothing. The trace tells how it goes: each change, and a little
// more often than not at all.
func write(log *os.File, path string, every time.Duration) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
	check(err)
	var said string
	var at time.Time
	for tick := time.NewTicker(every); ; <-tick.C {
		var ts unix.Timespec
		check(unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts))
		_, err := f.WriteAt(fmt.Appendf(nil, "%020d\n", ts.Nano()), 0)
		if err == nil {
			err = f.Sync()
		}
		word := "wrote"
		var e syscall.Errno
		if errors.As(err, &e) {
			word = "failed-" + unix.ErrnoName(e)
		}
		if word != said || time.Since(at) > 100*time.Millisecond {
			said, at = word, time.Now()
			trace(log, word)
		}
	}
}
