package config

import (
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// SIGRTMIN and SIGRTMAX as the C libraries number them; the kernel's first two are theirs.
const (
	realtimeMin = 34
	realtimeMax = 64
)

// Number is the stop signal; not ok means none: an ordinary stop sends nothing and waits.
func (s Stop) Number() (sig syscall.Signal, ok bool) {
	name := strings.TrimPrefix(s.Signal, "SIG")
	if offset, is := strings.CutPrefix(name, "RTMIN"); is {
		return realtime(offset)
	}
	sig = unix.SignalNum("SIG" + name)
	return sig, sig != 0
}

func realtime(offset string) (syscall.Signal, bool) {
	if offset == "" {
		return realtimeMin, true
	}
	n, err := strconv.Atoi(strings.TrimPrefix(offset, "+"))
	if err != nil || offset != "+"+strconv.Itoa(n) || n < 0 || n > realtimeMax-realtimeMin {
		return 0, false
	}
	return syscall.Signal(realtimeMin + n), true
}

// stopSignal takes signals that can end a process or tell it to end.
func stopSignal(v any) string {
	s, _ := v.(string)
	if s == "none" {
		return ""
	}
	sig, ok := Stop{Signal: s}.Number()
	switch sig {
	case syscall.SIGSTOP, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGCONT, syscall.SIGCHLD:
		ok = false
	}
	if !ok {
		return "none, or the name of a signal that ends a process, such as TERM, INT, QUIT or RTMIN+3"
	}
	return ""
}
