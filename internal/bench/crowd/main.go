//go:build bench

// Command crowd is many contenders of one lock in one process, for the queue benchmark of internal/bench,
// which builds it and talks to it in lines.
//
// Promise: each contender has a driver of its own, with connections of its own, and goes through
// lock.Contend and lock.Tenure as `interlock run` does, with the default timing. Not promised: a payload,
// a guard, or an end that leaves the queue in order: at the end of its input it just ends.
//
// Usage: crowd URL N. It says `ready`, waits for `go`, and then takes `release` (whoever holds), `rejoin`
// (whoever released) and `beats`. It says `joined I`, `granted I NS`, `leased I NS`, `released I NS`,
// `beats COUNT` and `failed I WHY`, with readings of CLOCK_MONOTONIC.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/lock"
	"github.com/interlock-run/interlock/lock/etcd"
	"github.com/interlock-run/interlock/lock/zk"
)

// joinsAtOnce keeps a crowd's arrival from being a storm that no fleet would make.
const joinsAtOnce = 4

// crowd is what its contenders share.
type crowd struct {
	lock    *url.URL
	door    chan struct{}
	release chan struct{}
	rejoin  chan struct{}
	beats   atomic.Int64

	mu  sync.Mutex
	out io.Writer
}

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "crowd:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 2 {
		return errors.New("expected a URL and a number of contenders")
	}
	u, err := url.Parse(args[0])
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	c := &crowd{lock: u, door: make(chan struct{}, joinsAtOnce), release: make(chan struct{}), rejoin: make(chan struct{}), out: out}
	c.say("ready")
	return c.obey(in, n)
}

// obey takes orders until there are no more. The contenders end with the process.
func (c *crowd) obey(in io.Reader, n int) error {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		switch order := strings.TrimSpace(lines.Text()); order {
		case "go":
			for i := range n {
				all.Go(func() { c.contender(ctx, i) })
			}
		case "release":
			c.release <- struct{}{}
		case "rejoin":
			c.rejoin <- struct{}{}
		case "beats":
			c.say("beats %d", c.beats.Load())
		default:
			return fmt.Errorf("unknown order %q", order)
		}
	}
	return lines.Err()
}

func (c *crowd) open(ctx context.Context, i int) (lock.Driver, error) {
	s := lock.Settings{Timing: lock.DefaultTiming(), Holder: name(i), Node: "crowd", Clock: clock.Now, Log: quiet}
	switch c.lock.Scheme {
	case "etcd":
		return etcd.Open(ctx, c.lock, s)
	case "zk":
		return zk.Open(ctx, c.lock, s)
	}
	return nil, fmt.Errorf("lock %s: expected etcd:// or zk://", c.lock)
}

func name(i int) string { return fmt.Sprintf("%d-%d", os.Getpid(), i) }

func quiet(string, ...any) {}

func (c *crowd) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// The benchmark reads until it has what it wants; a pipe that it has closed is its end.
	_, _ = fmt.Fprintf(c.out, format+"\n", args...)
}

// now is a clock that other processes can read.
func now() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("the kernel has no CLOCK_MONOTONIC: " + err.Error())
	}
	return ts.Nano()
}
