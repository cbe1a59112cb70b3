//go:build vm

package node

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/internal/vmtest"
)

// hold is long enough for an emulated processor on a loaded host.
const hold = 15 * time.Second

const (
	lockVar  = "NODE_LOCK"
	flagsVar = "NODE_FLAGS"
)

func family() vmtest.Family {
	return vmtest.Family{Modules: []string{"virtio_pci", "virtio_net"}, Tools: []string{"sleep"}, Binary: true, Nodes: true}
}

func TestMain(m *testing.M) { vmtest.Main(m, family()) }

func timing() []string {
	return []string{"--hold", hold.String(), "--heartbeat", "1s", "--try-timeout", "1s", "--tries", "2", "--grace", "1s", "--kill-budget", "1s"}
}

// TestNode is what runs in the machine: a run whose payload says all the time that it lives.
func TestNode(t *testing.T) {
	if !vmtest.InNode() {
		return // it is the machine's part of the tests below
	}
	vmtest.Run(t, "ip", "addr", "add", "10.0.2.15/24", "dev", "eth0")
	vmtest.Run(t, "ip", "link", "set", "eth0", "up")
	args := append([]string{"run", "--lock", os.Getenv(lockVar), "--holder", "node", "--state-dir", t.TempDir()}, timing()...)
	args = append(args, strings.Fields(os.Getenv(flagsVar))...)
	cmd := exec.Command(testkit.Binary(t), append(args, "--", "sh", "-c", "while :; do echo alive $INTERLOCK_TOKEN; sleep 0.2; done")...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	t.Fatal(cmd.Run())
}

// rig is a machine that holds the lock, and the scene of who waits for it here.
type rig struct {
	*scene.Scene
	node *testkit.Process
}

func holding(t *testing.T, flags ...string) rig {
	t.Helper()
	server := testkit.Etcd(t, testkit.EtcdOptions{})
	r := rig{Scene: scene.New(t)}
	r.Timing, r.Lock = timing(), "etcd://"+server.Addr()+"/node"
	_, port, _ := strings.Cut(server.Addr(), ":")
	scene.Interlock(t, "lock", "init", "--lock", r.Lock) // so that nobody waits for who may have been there before
	r.node = vmtest.Start(t, family(), "TestNode", lockVar+"=etcd://"+vmtest.HostAddr+":"+port+"/node", flagsVar+"="+strings.Join(flags, " "))
	testkit.Wait(t, 4*time.Minute, func() (bool, string) {
		return r.alive(t) > 0, "the machine's payload does not run: " + r.node.Stdout(t)
	})
	return r
}

// alive counts what the machine's payload has said.
func (r rig) alive(t *testing.T) int { t.Helper(); return strings.Count(r.node.Stdout(t), "alive ") }

// age is how old the last heartbeat on record is.
func (r rig) age(t *testing.T) time.Duration {
	t.Helper()
	var lock struct {
		Age float64 `json:"heartbeat_age_seconds"`
	}
	r.ShowLock(t, &lock)
	return time.Duration(lock.Age * float64(time.Second))
}

// queued is a contender here that waits behind the machine.
func (r rig) queued(t *testing.T, flags ...string) *scene.Job {
	t.Helper()
	b := r.Run(t, "here", scene.Flags(flags...))
	testkit.Wait(t, vmtest.Limit, func() (bool, string) {
		st, err := b.Status()
		return err == nil && st.Lock.Ahead == "node", fmt.Sprintf("not behind the machine: %+v, %v", st.Lock, err)
	})
	return b
}

// serves waits until it has taken over, and gives the payload's first moment.
func (r rig) serves(t *testing.T, b *scene.Job) time.Duration {
	t.Helper()
	b.WaitPhase(t, 2*time.Minute, "serving")
	testkit.Wait(t, vmtest.Limit, func() (bool, string) { return len(r.Lines(t)) > 0, "no trace" })
	return r.Lines(t)[0].At
}

// A machine that is gone from one moment to the next: the successor waits until the hold has passed since
// the last heartbeat, and no longer than the server's session needs on top of that.
func TestKilled(t *testing.T) {
	r := holding(t)
	b := r.queued(t)
	age, killed := r.age(t), scene.Now()
	r.node.Signal(t, unix.SIGKILL)
	began := r.serves(t, b)
	t.Logf("the last heartbeat was %v old at the kill; taken over %v after the kill", age.Round(time.Millisecond), (began - killed).Round(time.Millisecond))
	if began-killed < hold-age-time.Second {
		t.Errorf("taken over %v after the kill, with a hold of %v", began-killed, hold)
	}
	if began-killed > 3*hold {
		t.Errorf("taken over only %v after the kill, with a hold of %v", began-killed, hold)
	}
}

// A machine that stands still (its clock, too, so that no guard of it can help) and is switched off by a
// fence agent: the successor need not wait for its late writes, and nothing of the machine ever goes on.
func TestFenced(t *testing.T) {
	// Who waits has the lock about when the hold has passed; the settle is what fencing saves.
	const settle = time.Minute
	r := holding(t, "--settle", settle.String())
	agent := filepath.Join(r.Dir, "off")
	must(t, os.WriteFile(agent, fmt.Appendf(nil, `#!/bin/sh
in=$(cat)
case "$in" in
*action=off*)
	kill -9 %[1]d
	for i in $(seq 100); do kill -0 %[1]d 2>/dev/null || exit 0; sleep 0.1; done
	exit 1
	;;
*action=status*) kill -0 %[1]d 2>/dev/null && exit 0; exit 2 ;;
*) exit 1 ;;
esac
`, r.node.Pid()), 0o755))
	b := r.queued(t, "--fence-agent", agent, "--settle", settle.String())
	stopped := scene.Now()
	r.node.Signal(t, unix.SIGSTOP)
	said := r.alive(t)
	began := r.serves(t, b)
	st, err := b.Status()
	must(t, err)
	t.Logf("taken over %v after the machine stood still; fencing: %s", (began - stopped).Round(time.Millisecond), st.Lock.Fencing)
	if !strings.Contains(st.Lock.Fencing, "is confirmed to be off") {
		t.Errorf("not fenced: %s", b.Stderr(t))
	}
	testkit.Wait(t, vmtest.Limit, func() (bool, string) {
		select {
		case <-r.node.Exited():
			return true, ""
		default:
			return false, "the machine was not switched off"
		}
	})
	if began-stopped > hold+settle/2 {
		t.Errorf("taken over only after %v", began-stopped)
	}
	if now := r.alive(t); now > said+1 {
		t.Errorf("the old payload has said %d more words", now-said)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
