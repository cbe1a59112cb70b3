package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
)

// hung are reads that hang for some processes, until it is freed.
type hung struct {
	mu    sync.Mutex
	pids  map[string]bool
	reads map[string]int
	free  chan struct{}
}

func newHung(pids ...int) *hung {
	h := &hung{pids: map[string]bool{}, reads: map[string]int{}, free: make(chan struct{})}
	for _, pid := range pids {
		h.pids[strconv.Itoa(pid)] = true
	}
	return h
}

func (h *hung) read(path string) ([]byte, error) {
	pid := filepath.Base(filepath.Dir(path))
	h.mu.Lock()
	h.reads[pid]++
	hangs := h.pids[pid]
	h.mu.Unlock()
	if hangs {
		<-h.free
	}
	return os.ReadFile(path)
}

func (h *hung) count(pid int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reads[strconv.Itoa(pid)]
}

// A read that hangs is let go, is not made twice at a time, keeps no other waiting, and what comes of it later counts
// again.
func TestLookThatHangs(t *testing.T) {
	h := newHung(1)
	l := &Lookout{ReadFile: h.read}
	for range 3 {
		if s, err := l.Stat(1); !errors.Is(err, ErrHangs) {
			t.Fatalf("%+v, %v: expected %v", s, err, ErrHangs)
		}
	}
	if n := h.count(1); n != 1 {
		t.Errorf("%d reads at a time, expected 1", n)
	}
	if s, err := l.Stat(os.Getpid()); err != nil || s.Parent != os.Getppid() {
		t.Errorf("beside one that hangs: %+v, %v", s, err)
	}
	close(h.free)
	testkit.Wait(t, time.Minute, func() (bool, string) {
		_, err := l.Stat(1)
		return err == nil, fmt.Sprint(err)
	})
}

// However many hang, only so many threads do.
func TestLooksThatHangAreBounded(t *testing.T) {
	var pids []int
	for pid := 1 << 23; pid < 1<<23+mostAway+10; pid++ { // above every real number
		pids = append(pids, pid)
	}
	h := newHung(pids...)
	defer close(h.free)
	l := &Lookout{ReadFile: h.read}
	began := 0
	for _, pid := range pids {
		if _, err := l.Stat(pid); !errors.Is(err, ErrHangs) {
			t.Fatal(err)
		}
	}
	for _, pid := range pids {
		began += h.count(pid)
	}
	if began > mostAway {
		t.Errorf("%d reads hang, expected %d at the most", began, mostAway)
	}
}

// sleeper is a child.
func sleeper(t *testing.T) int {
	t.Helper()
	return testkit.Start(t, "sleep", "1000").Pid()
}

// Without lists of children the process table is looked through. Of whom the look hangs it is not known whose child it
// is; who may not be looked at is nobody's; whatever else cannot be read makes all of it unknown.
func TestScan(t *testing.T) {
	child, hangs, hidden := sleeper(t), sleeper(t), sleeper(t)
	h := newHung(hangs)
	defer close(h.free)
	failing := error(unix.EPERM)
	l := &Lookout{ReadFile: func(path string) ([]byte, error) {
		if strings.Contains(path, "/"+strconv.Itoa(hidden)+"/") {
			return nil, &os.PathError{Op: "open", Path: path, Err: failing}
		}
		return h.read(path)
	}}
	f, err := l.scan()
	if err != nil {
		t.Fatal(err)
	}
	all, err := f.Children(os.Getpid())
	if err != nil || !slices.Contains(all, child) || slices.Contains(all, hangs) || slices.Contains(all, hidden) {
		t.Errorf("%v, %v: expected %d, not %d and %d", all, err, child, hangs, hidden)
	}
	if !f.Unsure(hangs) || f.Unsure(child) || f.Unsure(hidden) {
		t.Errorf("unsure: %v, expected %d alone", f.unsure, hangs)
	}
	failing = unix.EMFILE
	if _, err := l.scan(); !errors.Is(err, unix.EMFILE) {
		t.Errorf("%v, expected %v", err, unix.EMFILE)
	}
}

// Children are those of each thread, each once, and no grandchildren; nobody else is looked at.
func TestChildren(t *testing.T) {
	l := &Lookout{ReadFile: func(path string) ([]byte, error) { return nil, errors.New(path + " was read") }}
	f, err := l.Family()
	if err != nil {
		t.Fatal(err)
	}
	if f.scanned != nil {
		t.Skip("children: this kernel has no CONFIG_PROC_CHILDREN")
	}
	first := sleeper(t)
	second := ofAnotherThread(t)
	all, err := f.Children(os.Getpid())
	slices.Sort(all)
	want := []int{first, second}
	slices.Sort(want)
	if err != nil || !slices.Equal(all, want) {
		t.Errorf("%v, %v: expected %v", all, err, want)
	}
	if parents, err := f.Children(os.Getppid()); err != nil || !slices.Contains(parents, os.Getpid()) || slices.Contains(parents, first) {
		t.Errorf("children of the parent: %v, %v: expected %d, not %d", parents, err, os.Getpid(), first)
	}
	if nobody, err := f.Children(1 << 30); err != nil || len(nobody) != 0 {
		t.Errorf("children of nobody: %v, %v", nobody, err)
	}
}

// ofAnotherThread is a child of a thread that is not the first, and stays.
func ofAnotherThread(t *testing.T) int {
	cmd, started, leave, left := exec.Command("sleep", "1000"), make(chan error), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		started <- cmd.Start()
		<-leave
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		close(leave)
		<-left
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // killed
	})
	return cmd.Process.Pid
}

// One that was not reaped has ended; one that sleeps has not.
func TestEnded(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	sleeps := sleeper(t)
	if Ended(sleeps) {
		t.Error("a sleeper has ended")
	}
	testkit.Wait(t, time.Minute, func() (bool, string) { return Ended(cmd.Process.Pid), "a zombie has not ended" })
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if !Ended(1 << 30) {
		t.Error("nobody has not ended")
	}
	withoutDescriptors(t, func() {
		if Ended(sleeps) {
			t.Error("who cannot be looked at has ended")
		}
	})
}

// withoutDescriptors does something while no file can be opened.
func withoutDescriptors(t *testing.T, do func()) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	do()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
}

func TestNumbers(t *testing.T) {
	child := sleeper(t)
	all, err := Numbers()
	if err != nil || !slices.Contains(all, child) || !slices.Contains(all, os.Getpid()) {
		t.Errorf("%v, %v: expected %d and %d", all, err, child, os.Getpid())
	}
}
