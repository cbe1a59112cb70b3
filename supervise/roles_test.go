package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// runCommand does one order of a test in the agent process.
func runCommand(l *Link, c command, r *reply) error {
	switch c.Op {
	case "prepare":
		return l.Prepare(c.Settings)
	case "lease":
		return l.Lease(Lease{Tenure: c.Tenure, Kill: stampIn(c.Left)})
	case "start":
		if c.Path != "" {
			f, err := os.OpenFile(c.Path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
			if err != nil {
				return err
			}
			defer f.Close()
			c.Spec.Stdout = f
		}
		return l.Start(c.Spec)
	case "signal":
		return l.Signal(c.ID, syscall.Signal(c.Signal))
	case "killone":
		return l.KillOne(c.ID)
	case "kill":
		return l.Kill(c.Tenure)
	case "finish":
		return l.Finish(c.Tenure)
	case "keep":
		f, err := os.Open(c.Path)
		if err != nil {
			return err
		}
		return errors.Join(l.Keep(f), f.Close())
	case "takeover":
		ctx, cancel := context.WithTimeout(context.Background(), c.Timeout)
		defer cancel()
		var err error
		r.Proof, err = l.TakeOver(ctx, c.Env)
		return err
	case "close":
		return l.Close()
	}
	return errors.New("unknown order " + c.Op)
}

func testWorker() int {
	IgnoreStopSignals()
	fmt.Println(strings.TrimPrefix(os.Args[0], "interlock-"), os.Args[1:], "token", os.Getenv("INTERLOCK_TOKEN"), "mark", os.Getenv("TEST_MARK"), "secret", os.Getenv("S3_KEY"))
	return 3
}

// testPayload is what the kill domain runs: modes that real services have.
func testPayload() int {
	arg := ""
	if len(os.Args) > 3 {
		arg = os.Args[3]
	}
	switch os.Args[2] {
	case "sleep": // dies of TERM
		signal.Reset()
		select {}
	case "deaf": // does not
		ignoreAll()
		fmt.Println("ready")
		for {
			time.Sleep(time.Hour)
		}
	case "headless": // deaf, and the first thread is dead
		ignoreAll()
		_, _, _ = syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0) // of a thread; this is the first one
		return 2
	case "tree": // n children that ignore TERM
		n, err := strconv.Atoi(arg)
		if err != nil {
			return 2
		}
		return growTree(n)
	case "daemon": // setsid and double fork; the daemon ignores TERM
		return forkDaemon()
	case "exit":
		code, err := strconv.Atoi(arg)
		if err != nil {
			return 2
		}
		return code
	case "orphans":
		n, err := strconv.Atoi(arg)
		if err != nil {
			return 2
		}
		return orphans(n)
	case "usr1": // tells each signal of the forwarded ones on stdout
		c := make(chan os.Signal, 8)
		signal.Notify(c, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTERM)
		fmt.Println("ready")
		for s := range c {
			fmt.Println(s)
		}
	}
	return 2
}

func growTree(n int) int {
	ignoreAll()
	for range n {
		c := exec.Command("/bin/sh", "-c", "trap '' TERM INT HUP; while :; do sleep 1000; done")
		c.Stdin, c.Stdout, c.Stderr = nil, os.Stdout, os.Stderr
		if err := c.Start(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
	}
	fmt.Println("ready")
	for {
		time.Sleep(time.Hour)
	}
}

func forkDaemon() int {
	c := exec.Command("/bin/sh", "-c", "(setsid sh -c 'trap \"\" TERM INT HUP; sleep 1000 & echo ready; wait; sleep 1000' &) ")
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		return 2
	}
	for {
		time.Sleep(time.Hour)
	}
}

// orphans makes n processes that die as orphans.
func orphans(n int) int {
	script := "i=0; while [ $i -lt " + strconv.Itoa(n) + " ]; do (true &) ; i=$((i+1)); done"
	if err := exec.Command("/bin/sh", "-c", script).Run(); err != nil {
		return 2
	}
	fmt.Println("done")
	return 0
}
