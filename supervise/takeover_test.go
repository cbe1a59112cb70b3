package supervise

import (
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A guard that does not die (uninterruptible sleep) proves nothing, and must not keep the agent from
// ending the domain in time all the same.
func TestTakeOverKillsBeforeTheGuardIsDead(t *testing.T) {
	eachMode(t, func(t *testing.T, isolate string) {
		g := daemonised(t, isolate, 0, time.Minute)
		thaw := freeze(t, g.pid, freezer)
		env := []string{"INTERLOCK_TOKEN=7", "INTERLOCK_LOCK=l-" + g.mark}
		if r := g.order(command{Op: "takeover", Timeout: time.Second, Env: env}); r.Err == "" || r.Proof.Proven {
			t.Errorf("take-over from a living guard: %+v %q", r.Proof, r.Err)
		}
		eventually(t, "domain is dead although its guard is not", func() bool { return g.payloadProcesses() == 0 })
		select {
		case <-g.exited:
			t.Error("the guard died: the test shows nothing")
		default:
		}
		thaw()
		checkTakeOver(t, g, isolate)
	})
}

// A child of the guard that is stopped between fork and exec holds a copy of the guard's end of the
// link: no end of file tells then that everything the guard said was read.
func TestTakeOverWithALinkThatIsHeldOpen(t *testing.T) {
	eachMode(t, func(t *testing.T, isolate string) {
		g := daemonised(t, isolate, 0, time.Minute)
		defer holdSockets(t, g.pid)()
		stop(t, g.pid)
		checkTakeOver(t, g, isolate)
	})
}

// holdSockets takes copies of all sockets of a process, as a fork does.
func holdSockets(t *testing.T, pid int) (release func()) {
	t.Helper()
	needRoot(t)
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	entries, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	var held []int
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		if unix.Stat("/proc/"+strconv.Itoa(pid)+"/fd/"+e.Name(), &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
			continue
		}
		if copied, err := unix.PidfdGetfd(pidfd, fd, 0); err != nil {
			t.Skip("cannot copy descriptors of a process: ", err)
		} else {
			held = append(held, copied)
		}
	}
	if len(held) == 0 {
		t.Fatal("the guard has no socket")
	}
	return func() {
		for _, fd := range held {
			unix.Close(fd)
		}
	}
}
