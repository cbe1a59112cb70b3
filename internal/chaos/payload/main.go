// Command payload is what the chaos suite runs under interlock: it leaves a line for every moment that it
// lived, in the log that the judge reads, and misbehaves on demand.
//
// Promise: one O_APPEND write a line, `boot_ns boot_id token host pid event`; the root of a tree writes
// begin, each further member join, all of them a tick every few milliseconds, and end if they may. A
// kill -9 leaves no end: the interval is the first line to the last. Non-promise: it does not look whether
// it may write; that is what is being tested. It imports nothing of this module, so that no mistake of the
// product can hide itself here. Called by the chaos suite, through `interlock run`.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

type options struct {
	log        string
	token      string
	host       string
	tick       time.Duration
	ignoreTerm bool
	tree       shape
	stuck      string
	memory     int
	register   string
	every      time.Duration
	role       string
}

// shape is that of the tree.
type shape struct {
	members, storm int
	daemon         bool
}

func main() {
	var o options
	flag.StringVar(&o.log, "log", "", "the log `FILE` on the protected directory")
	flag.StringVar(&o.token, "token", os.Getenv("INTERLOCK_TOKEN"), "fencing token; INTERLOCK_TOKEN otherwise")
	flag.StringVar(&o.host, "host", "", "`NAME` of the contender and its start: one word")
	flag.DurationVar(&o.tick, "tick", 5*time.Millisecond, "period of ticks")
	flag.BoolVar(&o.ignoreTerm, "ignore-term", false, "ignore TERM and INT")
	flag.BoolVar(&o.tree.daemon, "daemon", false, "also start a member that left session and parent by a double fork")
	flag.IntVar(&o.tree.members, "tree", 0, "start `N` more members")
	flag.IntVar(&o.tree.storm, "storm", 0, "start `N` more members that tick once a second")
	flag.IntVar(&o.memory, "memory", 0, "hold `MIB` of memory")
	flag.StringVar(&o.register, "register", "", "`HOST:PORT` of the register server")
	flag.DurationVar(&o.every, "register-every", 50*time.Millisecond, "period of writes to the register")
	flag.StringVar(&o.stuck, "stuck", "", "`DIR` on a mount that is looked at when SIGUSR1 comes")
	flag.StringVar(&o.role, "role", roleRoot, "root, member or middle; for its own use")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "payload:", err)
		os.Exit(99)
	}
}

func run(o options) error {
	if o.role == roleMiddle {
		return spawn(o, roleMember)
	}
	stop := make(chan os.Signal, 1)
	if o.ignoreTerm {
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT)
	} else {
		signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	}
	trace, err := openTrace(o)
	if err != nil {
		return err
	}
	if err := trace.write(first(o.role)); err != nil {
		return err
	}
	held := hold(o.memory)
	if o.role == roleRoot {
		if err := offspring(o); err != nil {
			return err
		}
	}
	getStuck(o)
	register := startRegister(o, trace)
	err = live(o, trace, stop)
	register.close()
	if held != nil && held[0] == 0 {
		return fmt.Errorf("the memory held was lost")
	}
	return err
}

// live ticks until it is told to end.
func live(o options, t *trace, stop <-chan os.Signal) error {
	tick := time.NewTicker(o.tick)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := t.write("tick"); err != nil {
				return err
			}
		case <-stop:
			return t.write("end")
		}
	}
}

// getStuck looks at a directory for each SIGUSR1. A look that hangs in the kernel leaves its thread there.
func getStuck(o options) {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	go func() { // ends with the process: nothing else ends a thread that hangs
		for range asked {
			var st syscall.Stat_t
			// Whether it is there does not matter.
			_ = syscall.Stat(o.stuck, &st)
		}
	}()
}

func first(role string) string {
	if role == roleRoot {
		return "begin"
	}
	return "join"
}

// hold takes memory and touches each page.
func hold(mib int) []byte {
	if mib <= 0 {
		return nil
	}
	b := make([]byte, mib<<20)
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	return b
}
