package supervise

import (
	"os"
	"syscall"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"golang.org/x/sys/unix"
)

// An alarm is a timerfd on CLOCK_BOOTTIME: it goes on while the machine is suspended, which Go's own
// timers do not.
type alarm struct {
	file *os.File
	raw  syscall.RawConn
}

func newAlarm() (*alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	a := &alarm{file: os.NewFile(uintptr(fd), "timerfd")}
	if a.raw, err = a.file.SyscallConn(); err != nil {
		a.file.Close()
		return nil, err
	}
	return a, nil
}

// set arms for the deadline, or for the part of the way that may be slept at once.
func (a *alarm) set(now, deadline clock.Stamp) error {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(clock.OnTimer(sleep(now, deadline))))}
	var err error
	if cerr := a.raw.Control(func(fd uintptr) { err = unix.TimerfdSettime(int(fd), 0, &spec, nil) }); cerr != nil {
		return cerr
	}
	return os.NewSyscallError("timerfd_settime", err)
}

// watch reports each expiry until the alarm is closed.
func (a *alarm) watch(fired chan<- struct{}) {
	buf := make([]byte, 8)
	for {
		if _, err := a.file.Read(buf); err != nil {
			return
		}
		select {
		case fired <- struct{}{}:
		default: // one is waiting already; the guard looks at the clock, not at the number of ticks
		}
	}
}

func (a *alarm) close() error { return a.file.Close() }

// tick is how often the guard looks again while something is being killed or waited for.
const tick = 10 * time.Millisecond
