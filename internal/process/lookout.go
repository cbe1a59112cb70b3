package process

import (
	"errors"
	"os"
	"strconv"
	"sync"
	"time"
)

// A Lookout reads the files for which the kernel takes hold of the memory of a process: stat, status, cmdline, environ.
// Such a read can hang: it waits for whoever changes that memory, and who lets go of it last has to take it down, which
// waits for the filesystems that are mapped there. So each read has a goroutine, and with it a thread, of its own, and
// is waited for only so long. One that hangs stays behind until the kernel lets it go: there is one for a process, and
// no more than so many. The zero value is ready; its methods may be called from any goroutine.
type Lookout struct {
	ReadFile func(path string) ([]byte, error) // nil, but in tests: os.ReadFile

	mu   sync.Mutex
	away map[int]bool // the processes whose read is not back
}

// ErrHangs is a read that is not back: nothing is known of the process, so it may live.
var ErrHangs = errors.New("a look at the process hangs")

// How many reads may be away, and how long the first of them is waited for. Each one that is away shortens that for the
// next, so that all of them together take no longer than five times as long.
const (
	mostAway = 64
	patience = 100 * time.Millisecond
)

// File reads /proc/PID/name.
func (l *Lookout) File(pid int, name string) ([]byte, error) {
	wait, ok := l.leave(pid)
	if !ok {
		return nil, ErrHangs
	}
	read := l.ReadFile
	if read == nil {
		read = os.ReadFile
	}
	type answer struct {
		text []byte
		err  error
	}
	back := make(chan answer, 1)
	go func() { // joined below, or left to the kernel
		text, err := read("/proc/" + strconv.Itoa(pid) + "/" + name)
		l.comeBack(pid)
		back <- answer{text, err}
	}()
	late := time.NewTimer(wait)
	defer late.Stop()
	select {
	case a := <-back:
		return a.text, a.err
	case <-late.C:
		return nil, ErrHangs
	}
}

// leave tells how long to wait; not ok: nobody is to go.
func (l *Lookout) leave(pid int) (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away[pid] || len(l.away) >= mostAway {
		return 0, false
	}
	if l.away == nil {
		l.away = map[int]bool{}
	}
	l.away[pid] = true
	return patience / time.Duration(len(l.away)), true
}

func (l *Lookout) comeBack(pid int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.away, pid)
}

// Stat is Read, waited for only so long.
func (l *Lookout) Stat(pid int) (Stat, error) {
	text, err := l.File(pid, "stat")
	if err != nil {
		return Stat{}, err
	}
	return Parse(text)
}
