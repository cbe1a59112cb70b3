package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// front is an init as containers have it before the entrypoint: it runs the command as a child, passes
// TERM and INT on, reaps, and exits with the child's code. Without a command it is a pause container's
// process: it reaps what it inherits until TERM.
func front(argv []string) int {
	in := make(chan os.Signal, 16)
	signal.Notify(in, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	child := 0
	if len(argv) > 0 {
		c := exec.Command(argv[0], argv[1:]...)
		c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
		check(c.Start())
		child = c.Process.Pid
	}
	for s := range in {
		switch {
		case s == syscall.SIGCHLD:
			if code, over := reap(child); over {
				return code
			}
		case child == 0:
			return 0
		default:
			check(syscall.Kill(child, s.(syscall.Signal)))
		}
	}
	return 0
}

// reap collects every child that has ended, and tells whether the one that counts is among them.
func reap(child int) (code int, over bool) {
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if pid <= 0 || err != nil {
			return code, over
		}
		if pid == child {
			code, over = ws.ExitStatus(), true
			if ws.Signaled() {
				code = 128 + int(ws.Signal())
			}
		}
	}
}

// bare replaces this process by the command, with no environment at all: runtimes invent a HOME.
func bare(argv []string) int {
	check(syscall.Exec(argv[0], argv, []string{}))
	return 99
}

// hog takes memory until it is killed for it; it gives up at a bound that no test allows. The kernel fills it in
// one call: touched page by page, this program's own code would be read from disk again and again by then.
func hog() int {
	const bound = 512 << 20
	held, err := unix.Mmap(-1, 0, bound, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
	check(err)
	for i := 0; i < bound; i += 4096 {
		held[i] = 1
	}
	fmt.Fprintln(os.Stderr, "payload: not killed with", bound>>20, "MiB in use")
	return 98
}

// hogChild leaves a trace of how a child ended that the kernel prefers when memory runs out.
func hogChild(f *os.File, o options) {
	c := exec.Command("/proc/self/exe", "-log", o.log, "-hog")
	check(c.Start())
	check(os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", c.Process.Pid), []byte("1000"), 0))
	err := c.Wait()
	var ended *exec.ExitError
	if errors.As(err, &ended) && ended.Sys().(syscall.WaitStatus).Signaled() {
		trace(f, fmt.Sprintf("child-%d", int(ended.Sys().(syscall.WaitStatus).Signal())))
		return
	}
	check(err)
}
