package field

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tail is how much of the log is looked at for its last line.
const tail = 4096

// A Mark is the last line of the payloads' log.
type Mark struct {
	At    time.Duration // CLOCK_BOOTTIME
	Token uint64
	Host  string
}

// Last reads the last line of the payloads' log. The judge reads the log itself; this is to aim.
func (f *Field) Last() (Mark, error) {
	file, err := os.Open(f.Trace)
	if err != nil {
		return Mark{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return Mark{}, err
	}
	buf := make([]byte, min(tail, info.Size()))
	if _, err := file.ReadAt(buf, info.Size()-int64(len(buf))); err != nil {
		return Mark{}, err
	}
	lines := strings.Split(strings.TrimSuffix(string(buf), "\n"), "\n")
	w := strings.Fields(lines[len(lines)-1])
	if len(w) != 6 {
		return Mark{}, fmt.Errorf("the last line of %s is %q", f.Trace, lines[len(lines)-1])
	}
	at, err1 := strconv.ParseInt(w[0], 10, 64)
	token, err2 := strconv.ParseUint(w[2], 10, 64)
	return Mark{time.Duration(at), token, w[3]}, errors.Join(err1, err2)
}

// fresh is the age up to which a line says that its writer lives: a few ticks, and patience with a busy
// machine.
const fresh = 100 * time.Millisecond

// Serving waits until a payload ticks.
func (f *Field) Serving(ctx context.Context) error {
	return poll(ctx, "no payload runs", func() error {
		m, err := f.Last()
		if err != nil {
			return err
		}
		if age := Now() - m.At; age > fresh {
			return fmt.Errorf("the last line of any is %v old", age)
		}
		return nil
	})
}

// Holder is the run whose payload ticks.
func (f *Field) Holder() (Run, error) {
	m, err := f.Last()
	if err != nil {
		return Run{}, err
	}
	for _, c := range f.Contenders {
		if r, ok := c.Now(); ok && r.Host == m.Host {
			return r, nil
		}
	}
	return Run{}, fmt.Errorf("the run %s of the last line is over", m.Host)
}

// Now is CLOCK_BOOTTIME, which the log is written by.
func Now() time.Duration {
	var ts unix.Timespec
	// The kernel has had this clock since 2.6.39; it cannot fail.
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts)
	return time.Duration(ts.Nano())
}

func hostName(contender string, start int) string { return fmt.Sprintf("%s.%d", contender, start) }

func procFile(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }
