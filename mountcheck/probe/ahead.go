package probe

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// aheadVariable says, between StartAhead and TakeAhead of one process, where the helper is: our own number,
// the helper's, and our end of its socket.
const aheadVariable = "__INTERLOCK_PROBE"

// StartAhead forks a helper in the first init of a program that will most likely need one, so that it has
// started when it is asked for. An init runs on the main thread, which lives as long as the process. Nothing
// depends on it: without it the first helper is forked when it is needed. It holds nothing and has met no
// mount; which one it is to ask comes with each request.
func StartAhead() {
	if os.Unsetenv(aheadVariable) != nil {
		return
	}
	proc, near, err := Start()
	if err != nil {
		return // tried again, and told, by who needs one
	}
	fd, err := unix.FcntlInt(near.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err == nil {
		err = os.Setenv(aheadVariable, strings.Join([]string{strconv.Itoa(os.Getpid()), strconv.Itoa(proc.Pid), strconv.Itoa(fd)}, ":"))
	}
	_ = near.Close() // without the duplicate the helper ends by this
	if err != nil {
		_, _ = proc.Wait()
	}
}

// TakeAhead gives the helper that StartAhead forked, once; ok is false where there is none.
func TakeAhead() (proc *os.Process, sock *os.File, ok bool) {
	value := os.Getenv(aheadVariable)
	if value == "" || os.Unsetenv(aheadVariable) != nil {
		return nil, nil, false
	}
	pid, fd, ok := parseAhead(value)
	if !ok {
		return nil, nil, false
	}
	if proc, err := os.FindProcess(pid); err == nil && unix.SetNonblock(fd, true) == nil {
		return proc, os.NewFile(uintptr(fd), "probe helper"), true
	}
	return nil, nil, false
}

// parseAhead believes only what this process said of a child of its own: anybody can set a variable.
func parseAhead(value string) (pid, fd int, ok bool) {
	f := strings.Split(value, ":")
	if len(f) != 3 || f[0] != strconv.Itoa(os.Getpid()) {
		return 0, 0, false
	}
	pid, err1 := strconv.Atoi(f[1])
	fd, err2 := strconv.Atoi(f[2])
	if err := errors.Join(err1, err2); err != nil || pid <= 1 || fd < 3 {
		return 0, 0, false
	}
	err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return pid, fd, err == nil
}
