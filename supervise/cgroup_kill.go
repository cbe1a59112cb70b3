package supervise

import (
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"
)

// kill: an error leaves somebody alive, and then vacant says no and kill is repeated.
func (c *cgroup) kill() {
	c.killGroup()
	c.brood.kill()
}

func (c *cgroup) killGroup() {
	if !c.v1 {
		_ = os.WriteFile(path.Join(c.dir, "cgroup.kill"), []byte("1"), 0)
		return
	}
	if c.killListed() {
		return
	}
	state := path.Join(c.dir, "freezer.state")
	_ = os.WriteFile(state, []byte("FROZEN"), 0)
	for range freezeLooks {
		if s, err := readWord(state); err != nil || s == "FROZEN" {
			break
		}
		time.Sleep(time.Millisecond) // the kernel tells nobody when it has frozen the last one
	}
	for _, pid := range c.list() {
		signalPID(pid, unix.SIGKILL)
	}
	_ = os.WriteFile(state, []byte("THAWED"), 0)
}

// killListed kills without the freezer, and tells whether that may do: whoever dies while it holds others
// still leaves them so for ever, and so it is only for those that forked away from the first rounds.
func (c *cgroup) killListed() bool {
	members := c.list()
	for _, pid := range members {
		signalPID(pid, unix.SIGKILL)
	}
	if len(members) == 0 {
		c.begun = time.Time{}
		return true
	}
	if c.begun.IsZero() {
		c.begun = time.Now()
	}
	return time.Since(c.begun) < 2*tick
}

// freezeLooks bounds one freeze: a task in uninterruptible sleep may never get there.
const freezeLooks = 20
