//go:build bench

package backup

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
)

const (
	patience   = 20 * time.Minute       // for one step of one program
	sampleEach = 100 * time.Millisecond // of memory
)

// A call is one command of a program.
type call struct {
	argv []string
	env  []string
	dir  string // to run it in
}

// A figure is what one step has cost.
type figure struct {
	wall time.Duration // the command, and the sync of the filesystem behind it
	sync time.Duration // that alone
	cpu  time.Duration // of all its processes; not of a server
	rss  float64       // MiB, the largest of its processes
	pss  float64       // MiB, all its processes together; sampled
}

// measure runs a command to its end and syncs the filesystem that it wrote to.
func (c call) measure(written string) (f figure, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	cmd.Dir, cmd.Env = c.dir, append(neutral(os.Environ()), c.env...)
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return f, err
	}
	peak := watch(cmd.Process.Pid)
	err = cmd.Wait()
	ended := time.Now()
	f.pss = peak()
	if err != nil {
		return f, fmt.Errorf("%s: %w: %s", strings.Join(c.argv, " "), err, tail(said.String()))
	}
	if err := syncOf(written); err != nil {
		return f, err
	}
	f.wall, f.sync = time.Since(begin), time.Since(ended)
	f.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if usage, is := cmd.ProcessState.SysUsage().(*syscall.Rusage); is {
		f.rss = float64(usage.Maxrss) / 1024
	}
	return f, nil
}

// neutral is an environment without settings of the programs, which the machine's owner has for other ends.
func neutral(environ []string) []string {
	return slices.DeleteFunc(environ, func(entry string) bool {
		prefix, _, _ := strings.Cut(entry, "_")
		return slices.Contains([]string{"AWS", "RESTIC", "BORG", "RCLONE", "TAR", "ZSTD", "INTERLOCK"}, prefix)
	})
}

// watch samples the memory of a process and all below it; the function it returns ends that and tells the
// most that was seen.
func watch(pid int) func() float64 {
	done, most := make(chan struct{}), 0.0
	var wait sync.WaitGroup
	wait.Go(func() {
		tick := time.NewTicker(sampleEach)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				most = max(most, pss(pid))
			}
		}
	})
	return func() float64 {
		close(done)
		wait.Wait()
		return most
	}
}

// pss adds up the proportional set size, in MiB, of what is there at this moment.
func pss(top int) float64 {
	sum := 0.0
	for _, pid := range append(testkit.Descendants(top), top) {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue // it has just ended
		}
		_, rest, _ := strings.Cut(string(raw), "\nPss:")
		var kib float64
		if _, err := fmt.Sscan(rest, &kib); err == nil {
			sum += kib / 1024
		}
	}
	return sum
}

func syncOf(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = unix.Syncfs(int(f.Fd()))
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

func tail(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], " | ")
}
