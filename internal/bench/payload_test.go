//go:build bench

package bench

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
)

// patience bounds everything that is waited for.
const patience = 30 * time.Second

// arrival is one payload that has started.
type arrival struct {
	start time.Duration // its own clock reading, in main
	pid   int
	dead  chan time.Duration // when the kernel closed its socket
}

// gate is where payloads report.
type gate struct {
	path string
	got  chan arrival
}

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{path: filepath.Join(testkit.PublicDir(t), "s"), got: make(chan arrival, 16)}
	lis, err := net.Listen("unix", g.path)
	if err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	readers.Go(func() {
		for {
			c, err := lis.Accept()
			if err != nil {
				return
			}
			readers.Go(func() { g.serve(c.(*net.UnixConn)) })
		}
	})
	t.Cleanup(func() { _ = lis.Close(); readers.Wait() })
	return g
}

// serve ends with its payload, which the kit ends at the latest.
func (g *gate) serve(c *net.UnixConn) {
	defer c.Close()
	r := bufio.NewReader(c)
	line, err := r.ReadString('\n')
	if err != nil {
		return
	}
	ns, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	pid, perr := peerPid(c)
	if err != nil || perr != nil {
		return
	}
	a := arrival{start: time.Duration(ns), pid: pid, dead: make(chan time.Duration, 1)}
	g.got <- a
	_, _ = io.Copy(io.Discard, r)
	a.dead <- testkit.Monotonic()
}

// peerPid is the payload's number as we see it, whatever namespace it is in.
func peerPid(c *net.UnixConn) (pid int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	cerr := raw.Control(func(fd uintptr) {
		var u *unix.Ucred
		if u, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(u.Pid)
		}
	})
	return pid, errors.Join(cerr, err)
}

// next waits for a payload's start; a wrapper that ends first is the reason.
func (g *gate) next(p *testkit.Process) (arrival, error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case a := <-g.got:
		return a, nil
	case <-p.Exited():
		return arrival{}, errors.New("ended before its payload started")
	case <-timer.C:
		return arrival{}, fmt.Errorf("no payload within %v", patience)
	}
}

func (a arrival) death() (time.Duration, error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case at := <-a.dead:
		return at, nil
	case <-timer.C:
		return 0, fmt.Errorf("payload %d still runs after %v", a.pid, patience)
	}
}

func exited(p *testkit.Process) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.Exited():
		return nil
	case <-timer.C:
		return fmt.Errorf("still runs %v after its payload's end", patience)
	}
}

func (a arrival) terminate() error { return syscall.Kill(a.pid, syscall.SIGTERM) }

// buildPayload uses C if it can: Go's runtime runs for a while before main.
func buildPayload(t *testing.T) string {
	t.Helper()
	dir := testkit.PublicDir(t)
	out := filepath.Join(dir, "payload")
	cmd := exec.Command("gcc", "-O2", "-static", "-o", out, "testdata/payload.c")
	if _, err := exec.LookPath("gcc"); err != nil {
		fmt.Println("no gcc: the payload is written in Go, whose runtime adds to every row alike")
		src := filepath.Join(dir, "payload.go")
		text, err := os.ReadFile("testdata/payload.go.txt")
		if err = errors.Join(err, os.WriteFile(src, text, 0o644)); err != nil {
			t.Fatal(err)
		}
		cmd = exec.Command("go", "build", "-o", out, src)
	}
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the payload: %v\n%s", err, text)
	}
	return out
}

// rounds is BENCH_N, or otherwise.
func rounds(t *testing.T, otherwise int) int {
	t.Helper()
	text := os.Getenv("BENCH_N")
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("BENCH_N: found %q: expected a number from 1", text)
	}
	return n
}

func show(t *testing.T, title, unit string, base *Sample, rows ...*Sample) {
	t.Helper()
	if err := Table(os.Stdout, title, unit, base, rows...); err != nil {
		t.Fatal(err)
	}
	for _, s := range rows {
		if s.Err() != nil {
			t.Errorf("%s: %s: %v", title, s.name, s.Err())
		}
	}
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
