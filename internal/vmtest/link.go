package vmtest

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
)

// The two ends of the link.
const (
	ServerAddr = "10.77.0.2"
	ClientAddr = "10.77.0.1"
)

// Limit bounds what takes a second here, and a while on a loaded host.
const Limit = 60 * time.Second

// A Link leads from the machine's own network namespace to one in which servers run.
type Link struct {
	t      testing.TB
	before string // what the shell does before each line
}

// NewLink makes the link, or takes that of an earlier test, and leaves it whole. before is what the shell
// does before each line that runs at the server: each has a mount namespace of its own.
func NewLink(t testing.TB, before string) Link {
	t.Helper()
	Inside(t)
	l := Link{t, before}
	if _, err := os.Stat("/run/netns/srv"); err == nil {
		l.Join()
		return l
	}
	Run(t, "ip", "netns", "add", "srv")
	Run(t, "ip", "link", "add", "client", "type", "veth", "peer", "name", "server")
	Run(t, "ip", "link", "set", "server", "netns", "srv")
	Run(t, "ip", "addr", "add", ClientAddr+"/24", "dev", "client")
	Run(t, "ip", "link", "set", "client", "up")
	l.At("ip link set lo up && ip addr add " + ServerAddr + "/24 dev server && ip link set server up")
	return l
}

// At runs a shell's line at the server's end.
func (l Link) At(line string) {
	l.t.Helper()
	Run(l.t, l.args(line)...)
}

// Daemon is At for what ends with the test.
func (l Link) Daemon(line string) *testkit.Process {
	l.t.Helper()
	return testkit.Start(l.t, l.args("exec "+line)...)
}

func (l Link) args(line string) []string {
	return []string{"ip", "netns", "exec", "srv", "sh", "-c", l.before + line}
}

// Cut makes the link lose everything.
func (l Link) Cut() { l.t.Helper(); l.At("ip link set server down") }

// Join makes it whole.
func (l Link) Join() { l.t.Helper(); l.At("ip link set server up") }

// Run is a command that must succeed.
func Run(t testing.TB, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Limit)
	defer cancel()
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", args, err, out)
	}
	return string(out)
}

// Interlock is a command of the built binary that must succeed.
func Interlock(t testing.TB, args ...string) string {
	t.Helper()
	return Run(t, append([]string{testkit.Binary(t)}, args...)...)
}
