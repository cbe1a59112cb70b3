// Command payload is what the end-to-end tests run under interlock: it leaves a trace of every moment that
// it lived, and misbehaves on demand. It shares no code with the product.
//
// Promise: each line of the trace is one O_APPEND write: `boot_ns token pid event`. Called by tests only.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

type options struct {
	log      string
	tick     time.Duration
	ignore   bool
	tree     int
	daemon   bool
	code     int
	after    time.Duration
	orphans  int
	environ  string
	slowStop time.Duration
	hog      bool
	later    bool
	spare    bool
	write    string
	every    time.Duration
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "front" {
		os.Exit(front(os.Args[2:]))
	}
	if len(os.Args) > 2 && os.Args[1] == "bare" {
		os.Exit(bare(os.Args[2:]))
	}
	var o options
	flag.StringVar(&o.log, "log", "", "trace `FILE`")
	flag.DurationVar(&o.tick, "tick", 5*time.Millisecond, "period of ticks")
	flag.BoolVar(&o.ignore, "ignore-term", false, "ignore TERM and INT")
	flag.IntVar(&o.tree, "tree", 0, "start `N` more of these")
	flag.BoolVar(&o.daemon, "daemon", false, "also start one that left session and parent by a double fork")
	flag.IntVar(&o.code, "code", 0, "exit code")
	flag.DurationVar(&o.after, "after", 0, "exit after this time; 0: at TERM")
	flag.IntVar(&o.orphans, "orphans", 0, "leave `N` orphans behind that exit with odd codes, then exit")
	flag.StringVar(&o.environ, "environ", "", "write the environment to `FILE`")
	flag.DurationVar(&o.slowStop, "slow-stop", 0, "time from TERM to the exit")
	flag.BoolVar(&o.hog, "hog", false, "take memory until killed")
	flag.BoolVar(&o.later, "hog-later", false, "take memory until killed, from USR1 on")
	flag.BoolVar(&o.spare, "hog-child", false, "at USR1, start a child that takes memory until it is killed for it, before all others")
	flag.StringVar(&o.write, "write", "", "write to `FILE`, and sync it, all the time")
	flag.DurationVar(&o.every, "write-every", 5*time.Millisecond, "time between two such writes")
	flag.Parse()
	os.Exit(run(o))
}

func run(o options) int {
	if o.environ != "" {
		check(os.WriteFile(o.environ, []byte(strings.Join(os.Environ(), "\n")+"\n"), 0o644))
	}
	stop := make(chan os.Signal, 1)
	if o.ignore {
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT)
	} else {
		signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	}
	usr1 := make(chan os.Signal, 1)
	if o.later || o.spare {
		signal.Notify(usr1, syscall.SIGUSR1)
	}
	f, err := os.OpenFile(o.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	check(err)
	trace(f, "begin") // from here on a test may signal it
	offspring(o)
	if o.hog {
		return hog()
	}
	if o.write != "" {
		go write(f, o.write, o.every) // ends with the process
	}
	var end <-chan time.Time
	if o.after > 0 {
		end = time.After(o.after)
	}
	tick := time.NewTicker(o.tick)
	for {
		select {
		case <-tick.C:
			trace(f, "tick")
		case <-usr1:
			if o.later {
				return hog()
			}
			go hogChild(f, o)
		case <-end:
			trace(f, "end")
			return o.code
		case s := <-stop:
			trace(f, "signal-"+fmt.Sprint(int(s.(syscall.Signal))))
			time.Sleep(o.slowStop)
			trace(f, "end")
			return o.code
		}
	}
}

// offspring starts what was asked for: a tree, a daemon, orphans.
func offspring(o options) {
	args := []string{"-log", o.log, "-tick", o.tick.String()}
	if o.ignore {
		args = append(args, "-ignore-term")
	}
	for range o.tree {
		check(exec.Command("/proc/self/exe", args...).Start())
	}
	if o.daemon { // setsid, and the parent of the daemon ends at once
		c := exec.Command("/bin/sh", append([]string{"-c", `"$0" "$@" & exit 0`, "/proc/self/exe"}, args...)...)
		c.Args[3] = self()
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		check(c.Run())
	}
	if o.orphans > 0 {
		c := exec.Command("/bin/sh", "-c", `i=0; while [ $i -lt $0 ]; do (exit $((i % 200))) & i=$((i+1)); done; exit 0`, fmt.Sprint(o.orphans))
		check(c.Run())
	}
}

func self() string {
	path, err := os.Readlink("/proc/self/exe")
	check(err)
	return path
}

func trace(f *os.File, event string) {
	var ts unix.Timespec
	check(unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts))
	token := os.Getenv("INTERLOCK_TOKEN")
	if token == "" {
		token = "0"
	}
	_, err := fmt.Fprintf(f, "%d %s %d %s\n", ts.Nano(), token, os.Getpid(), event)
	check(err)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "payload:", err)
		os.Exit(99)
	}
}
