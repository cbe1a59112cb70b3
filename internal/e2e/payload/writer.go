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
// file is opened once, and an error ends nothing. The trace gets the first time that each went well or wrong.
func write(log *os.File, path string) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
	check(err)
	said := map[string]bool{}
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
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
		if !said[word] {
			said[word] = true
			trace(log, word)
		}
	}
}
