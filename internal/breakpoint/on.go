//go:build breakpoints

// Package breakpoint, in this build, kills or stops the process at a named point.
package breakpoint

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// On tells that this build has break points.
const On = true

// Variable names the point, which passage of it, and what happens there: POINT[#N]=kill or =stop.
const Variable = "BREAKPOINT"

// passed counts passages of the one point that the variable names.
var passed atomic.Int64

// At ends the process by SIGKILL, or stops it, when the variable names this point.
func At(point string) {
	where, action, _ := strings.Cut(os.Getenv(Variable), "=")
	name, count, _ := strings.Cut(where, "#")
	if name != point {
		return
	}
	if n := passed.Add(1); count != "" && strconv.FormatInt(n, 10) != count {
		return
	}
	sig := syscall.SIGKILL
	if action == "stop" {
		sig = syscall.SIGSTOP
	}
	// To this very thread: it goes no step further, where a signal to the process may find another first.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_, _, errno := syscall.RawSyscall(syscall.SYS_TGKILL, uintptr(os.Getpid()), uintptr(syscall.Gettid()), uintptr(sig))
	if errno != 0 {
		os.Exit(70)
	}
	if action != "stop" {
		select {} // the kill arrives
	}
}
