package drain

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// nbd is a device of the kernel's network block device driver.
type nbd struct {
	name  string
	blind string // why nothing can be told, ever
	wires *wires
	ends  map[netip.AddrPort]bool // where it was connected to
}

func newNBD(name string, export netip.AddrPort) *nbd {
	d := &nbd{name: name}
	all, err := connections()
	if err != nil {
		d.blind = err.Error()
		return d
	}
	keys := ownedBy(d.attacher(), all)
	if len(keys) == 0 && export.IsValid() {
		if keys = connectedTo(export, all); len(keys) > 1 {
			d.blind = fmt.Sprintf("%d connections lead to %s, of which one is that of %s", len(keys), export, name)
		}
	}
	if len(keys) == 0 {
		d.blind = fmt.Sprintf("the connection of %s is not seen here (a local socket, or another network namespace?)", name)
	}
	// The very connections, with their local ends: others to the same server are other devices'.
	d.wires = newWires(func(c conn) bool { return keys[wire{c.local, c.remote}] })
	d.ends = map[netip.AddrPort]bool{}
	for key := range keys {
		d.ends[key.remote] = true
	}
	d.wires.open(all)
	return d
}

// attacher is the process that serves the device, 0 if there is none: with netlink it has ended.
func (d *nbd) attacher() int {
	raw, err := os.ReadFile(filepath.Join("/sys/block", d.name, "pid"))
	if err != nil {
		return 0
	}
	var pid int
	if _, err := fmt.Sscan(string(raw), &pid); err != nil {
		return 0
	}
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil || !strings.HasPrefix(string(comm), "nbd-client") {
		return 0 // the number may be somebody else's by now
	}
	return pid
}

// ownedBy lists the connections of one process.
func ownedBy(pid int, all []conn) map[wire]bool {
	inodes := socketsOf(pid)
	keys := map[wire]bool{}
	for _, c := range all {
		if c.inode != 0 && inodes[c.inode] {
			keys[wire{c.local, c.remote}] = true
		}
	}
	return keys
}

func connectedTo(remote netip.AddrPort, all []conn) map[wire]bool {
	keys := map[wire]bool{}
	for _, c := range all {
		if c.remote == remote && c.state == established {
			keys[wire{c.local, c.remote}] = true
		}
	}
	return keys
}

// check: a detached device whose every request was answered is quiet. If not, its connection must have
// ended: what was queued in it goes out long after the device is gone.
func (d *nbd) check(e Evidence) (State, string) {
	attached, err := d.attached()
	switch {
	case err != nil:
		return Unknown, err.Error()
	case !e.Detached && e.Left:
		return Kept, d.name + " stays attached"
	case attached || !e.Detached:
		return Pending, d.name + " is still attached"
	case e.Settled:
		return Drained, ""
	case d.blind != "":
		return Unknown, d.blind
	}
	all, err := connections()
	if err != nil {
		return Unknown, err.Error()
	}
	return d.wires.closed(all)
}

// outlook: without sight of the connection it is quiet only if it was settled, which is whoever's who detaches it.
func (d *nbd) outlook() (State, string) {
	if d.blind != "" {
		return Unknown, d.blind
	}
	return Kept, d.name + " must be detached"
}

// earlier: a detached device leaves what it had queued in a connection that nobody owns any more, so none to the same
// server may be there.
func (d *nbd) earlier() bool {
	all, err := connections()
	return err == nil && len(d.ends) > 0 && !slices.ContainsFunc(all, func(c conn) bool { return d.ends[c.remote] && c.state != timeWait })
}

func (d *nbd) close() error { return nil }

// attached: the driver shows a pid as long as the device has a connection.
func (d *nbd) attached() (bool, error) {
	_, err := os.Stat(filepath.Join("/sys/block", d.name, "pid"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot see whether %s is attached: %w", d.name, err)
	}
	return true, nil
}

// socketsOf lists the inodes of the sockets that a process holds; none if it cannot be seen.
func socketsOf(pid int) map[uint64]bool {
	found := map[uint64]bool{}
	if pid == 0 {
		return found
	}
	open, err := descriptors(pid)
	if err != nil {
		return found
	}
	for _, target := range open {
		var inode uint64
		if _, err := fmt.Sscanf(target, "socket:[%d]", &inode); err == nil {
			found[inode] = true
		}
	}
	return found
}
