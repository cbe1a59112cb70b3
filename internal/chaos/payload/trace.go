package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"unsafe"
)

const clockBoottime = 7

// trace writes whole lines, each with one write to a descriptor in append mode: the order in the file is
// the order of the writes, whoever made them.
type trace struct {
	file *os.File
	tail string // boot_id token host pid
}

func openTrace(o options) (*trace, error) {
	if o.log == "" || o.host == "" || o.token == "" {
		return nil, fmt.Errorf("-log, -host and a token (INTERLOCK_TOKEN or -token) are needed")
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(o.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return nil, err
	}
	return &trace{f, fmt.Sprintf("%s %s %s %d", strings.TrimSpace(string(boot)), o.token, o.host, os.Getpid())}, nil
}

func (t *trace) write(event string) error {
	now, err := boottime()
	if err != nil {
		return err
	}
	_, err = t.file.WriteString(fmt.Sprintf("%d %s %s\n", now, t.tail, event))
	return err
}

// boottime is CLOCK_BOOTTIME in nanoseconds: the one clock that all processes of a machine share and that
// goes on while it sleeps.
func boottime() (int64, error) {
	var ts syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		return 0, errno
	}
	return ts.Nano(), nil
}
