// Command faultfs is a FUSE filesystem over a directory that fails on command: it hangs, answers with an
// error, is slow, or dies; all of its operations or some.
//
// Promise: a command is in force when its answer is written, and what hung goes on once another is.
// Not promised: that it is fast, or that a process which waits in it can be killed: that is what it is for.
// Called by internal/testkit, which builds it once for each state of this folder.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

func main() {
	back := flag.String("back", "", "directory that is shown")
	point := flag.String("mount", "", "where it is mounted")
	relay := flag.String("relay", "", "address to which every write is sent before it is done, as a network filesystem would")
	flag.Parse()
	if err := serve(*back, *point, *relay); err != nil {
		fmt.Fprintln(os.Stderr, "faultfs:", err)
		os.Exit(1)
	}
}

func serve(back, point, relay string) error {
	root, err := fs.NewLoopbackRoot(back)
	if err != nil {
		return err
	}
	f := &faults{}
	f.set(rule{})
	if relay != "" {
		if f.server, err = net.Dial("tcp", relay); err != nil {
			return err
		}
	}
	never := time.Duration(0)
	opts := &fs.Options{EntryTimeout: &never, AttrTimeout: &never}
	server, err := fuse.NewServer(&faulty{fs.NewNodeFS(root, opts), f}, point,
		&fuse.MountOptions{FsName: "faultfs", Name: "faultfs", DirectMount: true, AllowOther: os.Geteuid() == 0})
	if err != nil {
		return err
	}
	go obey(f, server) // ends with the process
	server.Serve()
	return nil
}

// obey carries out the commands from stdin, one answer each; "holds" asks how many operations hang. Its end is that of the filesystem.
func obey(f *faults, server *fuse.Server) {
	if err := server.WaitMount(); err != nil {
		fmt.Fprintln(os.Stderr, "faultfs:", err)
		os.Exit(1)
	}
	fmt.Println("mounted")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if lines.Text() == "holds" {
			fmt.Println("holds", f.held.Load())
			continue
		}
		r, err := parse(lines.Text())
		if err != nil {
			fmt.Println(err)
			continue
		}
		f.set(r)
		fmt.Println("done")
	}
	f.set(rule{})
	if err := server.Unmount(); err != nil {
		os.Exit(1)
	}
}

// parse reads "ok", "error ERRNO [OP,…]", "hang [OP,…]", "slow DURATION [OP,…]".
func parse(line string) (r rule, err error) {
	words := append(strings.Fields(line), "", "", "")
	r.kind = words[0]
	ops := words[1]
	switch r.kind {
	case "ok", "hang":
	case "error":
		ops = words[2]
		if r.status, err = status(words[1]); err != nil {
			return r, err
		}
	case "slow":
		ops = words[2]
		if r.delay, err = time.ParseDuration(words[1]); err != nil {
			return r, err
		}
	default:
		return r, fmt.Errorf("unknown command %q: expected ok, error, hang or slow", line)
	}
	if ops != "" {
		r.ops = strings.Split(ops, ",")
	}
	return r, nil
}

func status(name string) (fuse.Status, error) {
	for e := unix.Errno(1); e < 134; e++ {
		if unix.ErrnoName(e) == name {
			return fuse.Status(e), nil
		}
	}
	return 0, fmt.Errorf("unknown error %q", name)
}

// faults is the rule in force.
type faults struct {
	server net.Conn     // of the relay, or nil
	held   atomic.Int64 // operations that were taken and hang

	mu   sync.Mutex
	rule rule
}

type rule struct {
	kind   string
	status fuse.Status
	delay  time.Duration
	ops    []string // none: all
	over   chan struct{}
}

func (f *faults) set(r rule) {
	r.over = make(chan struct{})
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.rule.over != nil {
		close(f.rule.over)
	}
	f.rule = r
}
