//go:build bench

package mounts

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// TestMountsProbe: what a whole probe of a run costs on ext4: statfs, volume file, create, write, fsync, read back,
// unlink; the CPU of the helper, and of the agent, which does little else while its service runs.
func TestMountsProbe(t *testing.T) {
	s := scene.New(t)
	dir := filepath.Join(s.Dir, "mnt")
	ext4(t, dir)
	s.Data = filepath.Join(dir, "db")
	must(t, os.Mkdir(s.Data, 0o777))
	s.Timing = []string{"--hold", "60s"} // its heartbeats are not what is measured
	j := s.Run(t, "a", s.Payload(t), scene.Flags("--mount", dir+",fstype=ext4", "--probe-period", "25ms"))
	j.Serving(t)
	agent := j.Agent(t)
	helper := child(t, agent)
	probes := created(t, filepath.Join(dir, ".interlock"))
	before, beforeAgent, from := cpu(t, helper), cpu(t, agent), probes()
	<-time.After(resting / 2)
	n := probes() - from
	if n < 50 {
		t.Fatalf("%d probes, expected more", n)
	}
	own, its := (cpu(t, helper)-before)/time.Duration(n), (cpu(t, agent)-beforeAgent)/time.Duration(n)
	bare := bareWrites(t, dir)
	t.Logf("%d write probes of ext4 on a loop: %v of CPU in the helper, %v in the agent, which re-reads the claim through it as often; "+
		"a thread that does nothing but create, write, fsync, read and unlink at the same period: %v; load %s", n, own, its, bare, load(t))
	switch {
	case own+its <= time.Millisecond:
	case busy(t):
		t.Logf("NOT JUDGED: %v a probe, aim 1 ms, but a machine with this load makes everything dearer", own+its)
	default:
		t.Errorf("a probe costs %v, expected at most 1 ms", own+its)
	}
	j.Stop(t)
}

// bareWrites is the CPU of a write probe's system calls alone: the least that this machine can do.
func bareWrites(t *testing.T, dir string) time.Duration {
	t.Helper()
	const rounds = 200
	used := make(chan time.Duration, 1)
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		beat := time.NewTicker(25 * time.Millisecond)
		defer beat.Stop()
		var before, after unix.Rusage
		err := unix.Getrusage(unix.RUSAGE_THREAD, &before)
		for n := 0; n < rounds && err == nil; n++ {
			<-beat.C
			err = bareWrite(filepath.Join(dir, "bare"))
		}
		if err == nil {
			err = unix.Getrusage(unix.RUSAGE_THREAD, &after)
		}
		failed <- err
		sum := func(r unix.Rusage) time.Duration { return time.Duration(r.Utime.Nano() + r.Stime.Nano()) }
		used <- (sum(after) - sum(before)) / rounds
	}()
	must(t, <-failed)
	return <-used
}

func bareWrite(name string) error {
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_CREAT|unix.O_TRUNC|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	block := make([]byte, 4096)
	if _, err = unix.Write(fd, block); err == nil {
		err = unix.Fsync(fd)
	}
	if err == nil {
		_, err = unix.Pread(fd, block, 0)
	}
	return errors.Join(err, unix.Unlink(name))
}

// busy: more is runnable than there are cores.
func busy(t *testing.T) bool {
	t.Helper()
	n, err := strconv.ParseFloat(load(t), 64)
	must(t, err)
	return n > float64(runtime.NumCPU())
}

// ext4 mounts a new one.
func ext4(t *testing.T, dir string) {
	t.Helper()
	image := dir + ".img"
	must(t, os.Mkdir(dir, 0o777))
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 64<<20))
	for _, argv := range [][]string{{"mkfs.ext4", "-q", "-e", "remount-ro", image}, {"mount", "-o", "loop", image, dir}, {"chmod", "777", dir}} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", argv, err, out)
		}
	}
	t.Cleanup(func() {
		testkit.Wait(t, limit, func() (bool, string) { err := unix.Unmount(dir, 0); return err == nil, "umount: " + dir })
	})
}

// created counts the files that probes make in a directory.
func created(t *testing.T, dir string) func() int {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	_, err = unix.InotifyAddWatch(fd, dir, unix.IN_CREATE|unix.IN_DELETE) // of equal events in a row only one is told
	must(t, err)
	count, buf := 0, make([]byte, 1<<20)
	return func() int {
		for {
			n, err := unix.Read(fd, buf)
			if err != nil || n <= 0 {
				return count / 2
			}
			count += strings.Count(string(buf[:n]), ".interlock-probe-")
		}
	}
}
