// Package warden is the process that stands between us and a fence agent, and ends with it all that it has started.
//
// Promise: when the command has ended, when the caller says so, and when the caller is gone, by whatever death, all
// that the command has started is killed, also what left its process group, and nothing of it is started any more.
// Non-promise: a warden that is itself killed by SIGKILL takes the command along, not what that had started; what runs
// as somebody whom we may not signal, or waits in the kernel, lives on, and the warden waits for it. Called by
// fence/agent for each call; Main is the process.
package warden

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/process"
)

// Name is the first argument of the process.
const Name = "interlock-fence"

// Args are its arguments, to run the program at path, which gets none, with the warden's environment and streams. After
// the streams it is given two descriptors: one to read from, at whose end it kills, and one for its Report.
func Args(path string) []string { return []string{Name, strconv.Itoa(os.Getpid()), path} }

const holdFD, reportFD = 3, 4

// The pauses between two looks: at the caller, and at what is being killed, where each is twice as long as the one
// before, up to the caller's: what cannot be killed may stay for hours.
const (
	callerLook = time.Second
	killLook   = 10 * time.Millisecond
)

// pause is that after so many looks at what is being killed.
func pause(looks int) time.Duration { return min(killLook<<min(looks, 10), callerLook) }

// patience is how long what was killed may keep the report waiting.
const patience = time.Second

// A warden is the process while the command runs.
type warden struct {
	caller  int
	report  *os.File
	started chan start
	told    bool                    // the report is written
	ending  time.Time               // since when all is being killed; zero: it is not
	command int                     // its number; 0: it has not started
	failed  error                   // the start
	ended   map[int]unix.WaitStatus // of those that ended before the command's number was known; then of the command
	looks   process.Lookout
}

type start struct {
	pid int
	err error
}

// Main runs until nothing of the command is left.
func Main() int {
	if len(os.Args) != 3 {
		return usage
	}
	caller, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return usage
	}
	unix.CloseOnExec(holdFD)
	unix.CloseOnExec(reportFD)
	w := &warden{caller: caller, report: os.NewFile(reportFD, "report"), started: make(chan start, 1), ended: map[int]unix.WaitStatus{}}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		w.tell(Report{Errno: errno(err)})
		return 0
	}
	w.run(os.Args[2], os.NewFile(holdFD, "hold"))
	return 0
}

const usage = 64

func (w *warden) run(path string, hold io.Reader) {
	child, over := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(child, unix.SIGCHLD)
	// Whoever signals the whole tree means the payload. Held, not ignored: the command would inherit that.
	signal.Notify(make(chan os.Signal, 1), unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	go func() { // joined by the end of the process
		defer close(over)
		_, _ = io.Copy(io.Discard, hold) // however it ends, nobody holds us any more
	}()
	go w.start(path) // as above: the start can hang, where the program lies on a mount that does
	for looks := 0; ; {
		next := callerLook
		if !w.ending.IsZero() {
			next = pause(looks)
			looks++
		}
		look := time.NewTimer(next)
		select {
		case s := <-w.started:
			w.command, w.failed, w.started = s.pid, s.err, nil
		case <-child:
		case <-over:
			w.end()
			over = nil
		case <-look.C:
		}
		look.Stop()
		if w.turn() {
			return
		}
	}
}

// start keeps its thread for good: the command dies with it.
func (w *warden) start(path string) {
	runtime.LockOSThread()
	pid, err := syscall.ForkExec(path, []string{path}, &syscall.ProcAttr{Dir: "/", Env: os.Environ(), Files: []uintptr{0, 1, 2},
		Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}})
	w.started <- start{pid, err}
	select {}
}

func (w *warden) end() {
	if w.ending.IsZero() {
		w.ending = time.Now()
	}
}

// turn does what is due; over: nothing of the command is left.
func (w *warden) turn() (over bool) {
	alone := w.reap()
	status, ended := w.ended[w.command]
	if w.failed != nil || w.command != 0 && ended || os.Getppid() != w.caller {
		w.end()
	}
	if w.ending.IsZero() {
		return false
	}
	over = alone && w.started == nil
	if !over {
		w.killChildren()
	}
	if (w.failed != nil || w.command != 0 && ended) && (over || time.Since(w.ending) > patience) {
		w.tell(reportOf(w.failed, status))
	}
	return over
}

// reap is the one place that waits; alone: there are no children.
func (w *warden) reap() (alone bool) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return true
		case pid == 0:
			return false
		}
		// The command is the first of its number: one that it had started may get that once more.
		if _, known := w.ended[pid]; !known && (w.started != nil || pid == w.command) {
			w.ended[pid] = status
		}
	}
}

// tell writes the report, once.
func (w *warden) tell(r Report) {
	if w.told {
		return
	}
	w.told = true
	_, _ = fmt.Fprintf(w.report, reportFormat, r.Code, r.Signal, r.Errno) // a caller that is gone reads nothing
	_ = w.report.Close()
}
