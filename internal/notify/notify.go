// Package notify tells a service manager (systemd, or podman in its place) how a run goes on, by the
// datagram socket that NOTIFY_SOCKET names.
//
// Promise: a call never waits and never ends anything: a manager that is slow, gone or restarted costs the
// caller an error to log. What is sent stands on a line of its own, whatever it holds, so that a text from
// elsewhere cannot say READY=1. Non-promise: nobody acknowledges; it does not know what to say, which is
// the caller's. Called by cmd/interlock in the agent.
package notify

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Names of the variables that a service manager speaks by.
const (
	socketVariable   = "NOTIFY_SOCKET"
	watchdogVariable = "WATCHDOG_USEC"
	watchedVariable  = "WATCHDOG_PID"
)

// Variables are for interlock and not for what it runs: a payload that speaks to the manager itself would
// call the unit ready, stopped or alive in our place.
func Variables() []string { return []string{socketVariable, watchdogVariable, watchedVariable} }

// A Socket is the way to the service manager.
type Socket struct {
	fd int
	to *unix.SockaddrUnix
}

// Open reads NOTIFY_SOCKET; without one there is nobody to tell, and both results are nil.
func Open(lookup func(string) string) (*Socket, error) {
	address := lookup(socketVariable)
	if address == "" {
		return nil, nil
	}
	if address[0] != '/' && address[0] != '@' {
		return nil, fmt.Errorf("%s=%q: expected an absolute path, or @ and the name of an abstract socket", socketVariable, address)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	return &Socket{fd: fd, to: &unix.SockaddrUnix{Name: address}}, nil
}

// lineLimit keeps a message of a few lines within the page that systemd reads of it.
const lineLimit = 800

// Send gives the manager these assignments in one message. The address is looked up anew each time, so
// that a manager that made its socket again is found.
func (s *Socket) Send(assignments ...string) error {
	var b strings.Builder
	for _, a := range assignments {
		if len(a) > lineLimit {
			a = a[:lineLimit]
		}
		b.WriteString(strings.Map(printable, strings.ToValidUTF8(a, "?")))
		b.WriteByte('\n')
	}
	return os.NewSyscallError("sendto", unix.Sendto(s.fd, []byte(b.String()), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, s.to))
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}

// Close gives the descriptor back.
func (s *Socket) Close() error { return os.NewSyscallError("close", unix.Close(s.fd)) }

// Watchdog is the time within which the manager wants to hear of us, 0 if it does not. The manager names
// the process that it started; watched lists the pids that the caller answers for.
func Watchdog(lookup func(string) string, watched ...int) (time.Duration, error) {
	text := lookup(watchdogVariable)
	if text == "" {
		return 0, nil
	}
	usec, err := strconv.ParseInt(text, 10, 64)
	if err != nil || usec <= 0 || usec > int64(365*24*time.Hour/time.Microsecond) {
		return 0, fmt.Errorf("%s=%q: expected microseconds, 1 or more", watchdogVariable, text)
	}
	named := lookup(watchedVariable)
	for _, pid := range watched {
		if named == strconv.Itoa(pid) {
			return time.Duration(usec) * time.Microsecond, nil
		}
	}
	if named != "" {
		return 0, nil // of somebody around us
	}
	return time.Duration(usec) * time.Microsecond, nil
}
