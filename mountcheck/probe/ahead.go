package probe

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// aheadVariable says, between StartAhead and TakeAhead of one process, where the helper is: our own number,
// the helper's, our end of its socket, and the memory that it shares.
const aheadVariable = "__INTERLOCK_PROBE"

// StartAhead forks a helper in the first init of a program that will most likely need one, so that it has
// started when it is asked for. An init runs on the main thread, which lives as long as the process. Nothing
// depends on it: without it the first helper is forked when it is needed. It holds nothing and has met no
// mount; which one it is to ask comes with each request.
func StartAhead() {
	if os.Unsetenv(aheadVariable) != nil {
		return
	}
	proc, near, shared, err := start()
	if err != nil {
		return // tried again, and told, by who needs one
	}
	sock, err := unix.FcntlInt(near.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	var page int
	if err == nil {
		page, err = unix.FcntlInt(shared.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	}
	if err == nil {
		value := []string{strconv.Itoa(os.Getpid()), strconv.Itoa(proc.Pid), strconv.Itoa(sock), strconv.Itoa(page)}
		err = os.Setenv(aheadVariable, strings.Join(value, ":"))
	}
	_, _ = near.Close(), shared.Close() // without the duplicate the helper ends by this
	if err != nil {
		_, _ = proc.Wait()
	}
}

// TakeAhead gives the helper that StartAhead forked, once; ok is false where there is none.
func TakeAhead() (h Helper, ok bool) {
	value := os.Getenv(aheadVariable)
	if value == "" || os.Unsetenv(aheadVariable) != nil {
		return h, false
	}
	pid, sock, page, ok := parseAhead(value)
	if !ok {
		return h, false
	}
	var err error
	if h.Page, err = mapPage(page); err != nil {
		return h, false
	}
	unix.Close(page)
	if h.Proc, err = os.FindProcess(pid); err != nil || unix.SetNonblock(sock, true) != nil {
		h.Page.Close()
		return h, false
	}
	h.Sock = os.NewFile(uintptr(sock), "probe helper")
	return h, true
}

// parseAhead believes only what this process said of a child of its own: anybody can set a variable.
func parseAhead(value string) (pid, sock, page int, ok bool) {
	f := strings.Split(value, ":")
	if len(f) != 4 || f[0] != strconv.Itoa(os.Getpid()) {
		return 0, 0, 0, false
	}
	pid, err1 := strconv.Atoi(f[1])
	sock, err2 := strconv.Atoi(f[2])
	page, err3 := strconv.Atoi(f[3])
	if err := errors.Join(err1, err2, err3); err != nil || pid <= 1 || sock < 3 || page < 3 {
		return 0, 0, 0, false
	}
	err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return pid, sock, page, err == nil
}
