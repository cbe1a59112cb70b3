package field

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
)

// A Task is one process beyond doubt: its number and its start.
type Task struct {
	PID   int
	start string
}

// task looks a process up; false says that there is none, or only its remains.
func task(pid int) (Task, bool) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return Task{}, false
	}
	_, rest, ok := strings.Cut(string(raw[strings.LastIndexByte(string(raw), ')')+1:]), " ")
	f := strings.Fields(rest)
	if !ok || len(f) < 20 || f[0] == "Z" || f[0] == "X" {
		return Task{}, false
	}
	return Task{pid, f[19]}, true
}

// Alive tells whether it still runs or could.
func (t Task) Alive() bool {
	now, ok := task(t.PID)
	return ok && now == t
}

// Signal sends a signal; to one that has ended it is none, and no error.
func (t Task) Signal(sig unix.Signal) error {
	fd, err := unix.PidfdOpen(t.PID, 0)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if !t.Alive() { // the number has passed to somebody else
		return nil
	}
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

// Signal sends a signal to all of them.
func Signal(sig unix.Signal, tasks ...Task) error {
	var errs []error
	for _, t := range tasks {
		errs = append(errs, t.Signal(sig))
	}
	return errors.Join(errs...)
}

// below lists the running processes below one.
func below(pid int) []Task {
	var all []Task
	for _, p := range testkit.Descendants(pid) {
		if t, ok := task(p); ok {
			all = append(all, t)
		}
	}
	return all
}

// arg0 is the name that a process was started under.
func (t Task) arg0() string {
	line, err := os.ReadFile("/proc/" + strconv.Itoa(t.PID) + "/cmdline")
	if err != nil {
		return "" // it ended
	}
	name, _, _ := strings.Cut(string(line), "\x00")
	return name
}
