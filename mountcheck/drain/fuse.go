package drain

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/mountcheck/fusectl"
)

// fuse is a filesystem that a process serves.
type fuse struct {
	conn    fusectl.Connection
	control *fusectl.List
	blind   string // why nothing can be told, ever
	daemons []daemon
	nets    []network // of the daemons, where it is not ours
	peers   peers
	wires   *wires
}

// peers is what the daemons were connected to, as long as they lived.
type peers struct {
	wires map[wire]bool
	ends  map[netip.AddrPort]bool
}

// have is also true for a connection to one of them without an owner: the daemon may have connected again
// between our last look at it and its death.
func (p peers) have(c conn) bool {
	return p.wires[wire{c.local, c.remote}] || c.inode == 0 && p.ends[c.remote]
}

// A daemon is one process that holds the connection's device.
type daemon struct{ pid, pidfd int }

func newFUSE(c *fusectl.List, m mountcheck.Mount) *fuse {
	f := &fuse{control: c, peers: peers{map[wire]bool{}, map[netip.AddrPort]bool{}}}
	f.wires = newWires(f.peers.have)
	var err error
	f.conn, err = c.Find(m.Minor)
	switch {
	case err != nil:
		f.blind = err.Error()
	case f.conn.Inode == 0:
		f.blind = fmt.Sprintf("FUSE connection %d is not listed although it is mounted", f.conn.Minor)
	}
	pids, err := servers(f.conn.Minor, m.Point)
	for _, pid := range pids {
		pidfd, openErr := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
		if errors.Is(openErr, unix.ESRCH) {
			continue // ended meanwhile
		}
		if openErr != nil {
			err = errors.Join(err, fmt.Errorf("process %d: %w", pid, openErr))
			continue
		}
		f.daemons = append(f.daemons, daemon{pid, pidfd})
		err = errors.Join(err, f.enter(pid))
	}
	if f.blind == "" && (err != nil || len(f.daemons) == 0) {
		f.blind = fmt.Sprintf("which process serves FUSE connection %d is not seen here (another PID namespace?) %s", f.conn.Minor, text(err))
	}
	if all, err := f.connections(); err == nil {
		f.note(all)
	}
	return f
}

// enter keeps the network that a daemon is in: a container's, most often.
func (f *fuse) enter(pid int) error {
	n, other, err := networkOf(pid)
	switch {
	case err != nil:
		return fmt.Errorf("the network of process %d: %w", pid, err)
	case !other:
		return nil
	case slices.ContainsFunc(f.nets, func(have network) bool { return have.inode == n.inode }):
		return n.file.Close()
	}
	f.nets = append(f.nets, n)
	return nil
}

// connections are those of our network and of the daemons'.
func (f *fuse) connections() ([]conn, error) {
	all, err := connections()
	for _, n := range f.nets {
		theirs, netErr := n.connections()
		all, err = append(all, theirs...), errors.Join(err, netErr)
	}
	return all, err
}

// note keeps what the living daemons are connected to: what a dead one was is not to be seen any more.
func (f *fuse) note(all []conn) {
	for _, d := range f.daemons {
		if dead, err := d.dead(); dead || err != nil {
			continue // its number may be another's
		}
		for key := range ownedBy(d.pid, all) {
			f.peers.wires[key], f.peers.ends[key.remote] = true, true
		}
	}
	f.wires.open(all)
}

// check: no request may still be with the daemon, and none of its own on its way from it.
func (f *fuse) check(e Evidence) (State, string) {
	all, err := f.connections()
	if err != nil {
		return Unknown, err.Error()
	}
	f.note(all)
	if f.blind != "" {
		return Unknown, f.blind
	}
	now, err := f.control.Find(f.conn.Minor)
	switch {
	case err != nil:
		return Unknown, err.Error()
	case now == f.conn && e.Left:
		return Kept, fmt.Sprintf("FUSE connection %d is there as long as it is mounted, and its daemon may write by itself", f.conn.Minor)
	case now == f.conn:
		return Pending, fmt.Sprintf("FUSE connection %d is still there: unmount it", f.conn.Minor)
	}
	for _, d := range f.daemons {
		dead, err := d.dead()
		switch {
		case err != nil:
			return Unknown, err.Error()
		case !dead:
			return Pending, fmt.Sprintf("the FUSE daemon (pid %d) still runs", d.pid)
		}
	}
	return f.wires.closed(all)
}

func (f *fuse) outlook() (State, string) {
	if f.blind != "" {
		return Unknown, f.blind
	}
	return Kept, fmt.Sprintf("FUSE connection %d and its daemon must be gone", f.conn.Minor)
}

// earlier: the daemon of a mount that was here before may still live.
func (f *fuse) earlier() bool { return false }

func (f *fuse) close() error {
	var errs []error
	for _, d := range f.daemons {
		errs = append(errs, unix.Close(d.pidfd))
	}
	for _, n := range f.nets {
		errs = append(errs, n.file.Close())
	}
	f.daemons, f.nets = nil, nil
	if f.blind == "" {
		f.blind = "the plan was closed"
	}
	return errors.Join(errs...)
}

// dead: a descriptor of a process is readable once its last thread has ended, whether or not it is reaped.
func (d daemon) dead() (bool, error) {
	fds := []unix.PollFd{{Fd: int32(d.pidfd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("cannot see whether process %d has ended: %w", d.pid, err)
		}
		return n > 0, nil
	}
}
