package testkit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// settleLimit is what a process, mount or cgroup of a finished test may need
// to go away by itself.
const settleLimit = 3 * time.Second

// Census is what tests could leave on the machine, as it was before the first.
type Census struct {
	cgroups map[string]bool
	netns   map[string]bool
}

// TakeCensus looks now.
func TakeCensus() (Census, error) {
	groups, err := interlockCgroups()
	if err != nil {
		return Census{}, err
	}
	names, err := netNamespaces()
	return Census{cgroups: groups, netns: names}, err
}

// Left is an error that names every cgroup of interlock without processes and
// every network namespace that came since, whoever made them.
func (before Census) Left() error {
	return errors.Join(leftSince("cgroup", before.cgroups, emptyCgroups),
		leftSince("network namespace", before.netns, netNamespaces))
}

// leftovers is Left for one test process. Tests of other packages may run on
// the machine: of the cgroups only those count whose name has the number of a
// process that we started. The runner looks at all, at its own end.
func leftovers(before Census) error {
	ours := func() (map[string]bool, error) {
		all, err := emptyCgroups()
		for path := range all {
			if !startedHere(path) {
				delete(all, path)
			}
		}
		return all, err
	}
	return errors.Join(EndLeftProcesses(), leftMounts(), leftSince("cgroup", before.cgroups, ours),
		leftSince("network namespace", before.netns, netNamespaces))
}

// startedHere reads the guard's number from interlock-PID-TIME.
func startedHere(cgroup string) bool {
	part := strings.SplitN(filepath.Base(cgroup), "-", 3)
	if len(part) < 2 {
		return false
	}
	pid, err := strconv.Atoi(part[1])
	return err == nil && proc.spawner.made(pid)
}

// EndLeftProcesses gives what runs below this process a moment to end, kills
// the rest and names it in the error. For a subreaper that waits for nothing
// else any more.
func EndLeftProcesses() error {
	var left []task
	_, ok := Poll(settleLimit, func() (bool, string) {
		reapOrphans()
		left = live(descendants(os.Getpid()))
		return len(left) == 0, ""
	})
	if ok {
		return nil
	}
	return errors.Join(errors.New("tests left processes behind, killed now"), endAll(left))
}

// endAll names the processes, kills them and waits until they are dead.
func endAll(left []task) error {
	var errs []error
	for _, p := range left {
		args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid))
		if errors.Is(err, fs.ErrNotExist) {
			err = nil // ended by itself meanwhile
		}
		errs = append(errs, fmt.Errorf("  %v %q", p, strings.ReplaceAll(string(args), "\x00", " ")), err, killTree(p.pid))
	}
	word, ok := Poll(settleLimit, func() (bool, string) {
		reapOrphans()
		rest := live(descendants(os.Getpid()))
		return len(rest) == 0, fmt.Sprint(rest)
	})
	if !ok {
		errs = append(errs, fmt.Errorf("  still running: %s", word))
	}
	return errors.Join(errs...)
}

// reapOrphans runs when no test does: whoever waited for a child has done so.
func reapOrphans() {
	for range 100000 {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if pid <= 0 || err != nil {
			return
		}
	}
}

// leftMounts looks below our own temporary folder: mounts elsewhere may be
// those of tests that run at the same time.
func leftMounts() error {
	var left []string
	_, ok := Poll(settleLimit, func() (bool, string) {
		left = MountsBelow(proc.dir)
		return len(left) == 0, ""
	})
	if ok {
		return nil
	}
	return fmt.Errorf("tests left mounts behind: %s", strings.Join(left, " "))
}

// MountsBelow lists the mountpoints inside a folder.
func MountsBelow(dir string) []string {
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return []string{err.Error()}
	}
	var found []string
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		if len(f) > 4 && strings.HasPrefix(f[4], dir+"/") {
			found = append(found, f[4])
		}
	}
	return found
}

func leftSince(what string, before map[string]bool, now func() (map[string]bool, error)) error {
	var left []string
	var err error
	_, ok := Poll(settleLimit, func() (bool, string) {
		var seen map[string]bool
		seen, err = now()
		left = left[:0]
		for name := range seen {
			if !before[name] {
				left = append(left, name)
			}
		}
		return err == nil && len(left) == 0, ""
	})
	if ok {
		return nil
	}
	return errors.Join(err, fmt.Errorf("tests left a %s behind: %s", what, strings.Join(left, " ")))
}

// interlockCgroups finds our cgroups in every hierarchy.
func interlockCgroups() (map[string]bool, error) {
	found := map[string]bool{}
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission):
			return nil
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), "interlock-"):
			found[path] = true
		}
		return nil
	})
	return found, err
}

// emptyCgroups leaves out those with processes: a group of ours would have
// shown up among the processes, so they belong to tests that run beside us.
func emptyCgroups() (map[string]bool, error) {
	all, err := interlockCgroups()
	for path := range all {
		procs, rerr := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		if rerr != nil || len(procs) > 0 {
			delete(all, path)
		}
	}
	return all, err
}

func netNamespaces() (map[string]bool, error) {
	found := map[string]bool{}
	names, err := os.ReadDir("/run/netns")
	if errors.Is(err, fs.ErrNotExist) {
		return found, nil
	}
	for _, n := range names {
		if strings.HasPrefix(n.Name(), "interlock") {
			found[n.Name()] = true
		}
	}
	return found, err
}
