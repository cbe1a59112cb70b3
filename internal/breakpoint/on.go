//go:build breakpoints

// Package breakpoint, in this build, kills or stops the process at a named point.
package breakpoint

import (
	"os"
	"strings"
	"syscall"
)

// On tells that this build has break points.
const On = true

// Variable names the point and what happens there: POINT=kill or POINT=stop.
const Variable = "BREAKPOINT"

// At ends the process by SIGKILL, or stops it, when the variable names this point.
func At(point string) {
	name, action, _ := strings.Cut(os.Getenv(Variable), "=")
	if name != point {
		return
	}
	sig := syscall.SIGKILL
	if action == "stop" {
		sig = syscall.SIGSTOP
	}
	if err := syscall.Kill(os.Getpid(), sig); err != nil {
		os.Exit(70)
	}
	if action != "stop" {
		select {} // the kill arrives
	}
}
