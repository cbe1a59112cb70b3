package testkit

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// islandAddress is the one address of an island. Some servers refuse to speak to each other over 127.0.0.1.
const islandAddress = "10.80.0.2"

// Island is a network namespace in which servers and their clients see each other and nothing else.
type Island struct{ keeper *Process }

// NewIsland makes one that lives as long as the test. It needs root.
func NewIsland(t testing.TB) *Island {
	t.Helper()
	RequireRoot(t)
	for _, tool := range []string{"unshare", "nsenter", "ip"} {
		requireTool(t, tool)
	}
	script := fmt.Sprintf("ip addr add %s/32 dev lo && ip link set lo up && exec sleep infinity", islandAddress)
	i := &Island{Start(t, "unshare", "--net", "--", "sh", "-c", script)}
	Wait(t, readyLimit, func() (bool, string) {
		out, err := i.Command("ip", "-o", "addr", "show", "up", "dev", "lo").CombinedOutput()
		return err == nil && strings.Contains(string(out), islandAddress), fmt.Sprintf("no address yet: %v %s", err, i.keeper.Stderr(t))
	})
	return i
}

// Argv is a command that runs there; its process is the command's own.
func (i *Island) Argv(args ...string) []string {
	return append([]string{"nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", i.keeper.Pid()), "--"}, args...)
}

// Command is one that runs there.
func (i *Island) Command(args ...string) *exec.Cmd {
	argv := i.Argv(args...)
	return exec.Command(argv[0], argv[1:]...)
}

// Listen gives a listener there.
func (i *Island) Listen(t testing.TB) net.Listener {
	t.Helper()
	type result struct {
		l   net.Listener
		err error
	}
	c := make(chan result, 1)
	go func() { // its thread stays there, and ends
		runtime.LockOSThread()
		there, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", i.keeper.Pid()))
		if err == nil {
			err = errors.Join(unix.Setns(int(there.Fd()), unix.CLONE_NEWNET), there.Close())
		}
		var l net.Listener
		if err == nil {
			l, err = net.Listen("tcp", islandAddress+":0")
		}
		c <- result{l, err}
	}()
	r := Recv(t, islandLimit, "a listener", c)
	must(t, r.err)
	t.Cleanup(func() { _ = r.l.Close() }) // the test may have closed it
	return r.l
}

// Listens tells whether a server takes connections at a port.
func (i *Island) Listens(port string) func() error {
	return func() error {
		out, err := i.Command("ss", "-Hltn", "sport", "=", ":"+port).CombinedOutput()
		if err != nil || len(out) == 0 {
			return fmt.Errorf("nothing listens at port %s: %v %s", port, err, out)
		}
		return nil
	}
}

// Cut loses every packet from now on, without a word to either side, until Heal.
func (i *Island) Cut(t testing.TB) { t.Helper(); i.link(t, "down") }

// Heal ends a Cut.
func (i *Island) Heal(t testing.TB) { t.Helper(); i.link(t, "up") }

func (i *Island) link(t testing.TB, state string) {
	t.Helper()
	if out, err := i.Command("ip", "link", "set", "lo", state).CombinedOutput(); err != nil {
		t.Fatalf("ip link set lo %s: %v: %s", state, err, out)
	}
}

// islandLimit bounds what a server there needs to be of use.
const islandLimit = 60 * time.Second
