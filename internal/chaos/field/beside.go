package field

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Second starts one more run of the same name beside the one that is on; end sends it TERM, and kills it
// with all below it when it does not follow.
func (c *Contender) Second() (end func() error, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.extra++
	host := fmt.Sprintf("%s.x%d", c.Name, c.extra)
	p, err := c.field.Family.start(c.Node, filepath.Join(c.field.Dir, c.Name+".x.log"), c.command(host))
	if err != nil {
		return nil, err
	}
	c.guards = append(c.guards, p.task.PID)
	return func() error {
		err := p.task.Signal(unix.SIGTERM)
		limit := time.NewTimer(5 * time.Second)
		defer limit.Stop()
		select {
		case <-p.done:
		case <-limit.C:
			c.endAll(p)
		}
		return err
	}, nil
}

// Beside runs a command that has nothing to do with the lock; end kills it with all below it.
func (f *Field) Beside(argv ...string) (end func() error, err error) {
	p, err := f.Family.start(f.ops, filepath.Join(f.Dir, "beside.log"), exec.Command(argv[0], argv[1:]...))
	if err != nil {
		return nil, err
	}
	return func() error {
		err := Signal(unix.SIGSTOP, p.task) // so that it starts no more
		err = errors.Join(err, Signal(unix.SIGKILL, append(below(p.task.PID), p.task)...))
		<-p.done
		return err
	}, nil
}
