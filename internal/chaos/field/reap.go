package field

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A reaper takes the remains of orphans away that came to this process, where it is a subreaper: a zombie
// would look like a process that does not die. Those that somebody here waits for it leaves alone.
type reaper struct {
	stop chan struct{}
	join sync.WaitGroup
}

func startReaper(f *Family) *reaper {
	r := &reaper{stop: make(chan struct{})}
	r.join.Add(1)
	go func() {
		defer r.join.Done()
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				f.reapOrphans()
			case <-r.stop:
				return
			}
		}
	}()
	return r
}

func (r *reaper) close() {
	close(r.stop)
	r.join.Wait()
}

// reapOrphans looks at each dead child without taking it; the first that is waited for ends the round.
func (f *Family) reapOrphans() {
	for range 1000 {
		var info unix.Siginfo
		if err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err != nil {
			return
		}
		pid := pidOf(&info)
		if pid == 0 || f.has(pid) {
			return
		}
		if _, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); err != nil {
			return
		}
	}
}

// removeCgroups removes what a guard left that died by SIGKILL: empty groups with its number in the name.
func removeCgroups(contenders []*Contender) error {
	ours := map[string]bool{}
	for _, c := range contenders {
		for _, pid := range c.guards {
			ours[strconv.Itoa(pid)] = true
		}
	}
	var errs []error
	for _, pattern := range []string{"/sys/fs/cgroup/interlock-*", "/sys/fs/cgroup/*/interlock-*"} {
		groups, err := filepath.Glob(pattern)
		errs = append(errs, err)
		for _, g := range groups {
			part := strings.SplitN(filepath.Base(g), "-", 3)
			if len(part) < 2 || !ours[part[1]] {
				continue
			}
			if err := os.Remove(g); !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}
