// Package rescue frees processes that wait in a filesystem whose server does not answer and that SIGKILL
// does not end: it breaks the FUSE connection, gives up what waits in an NFS mount, or disconnects a
// network block device.
//
// Promise: only what was captured while it was right is broken, never something that took its number or
// place since; every lever is pulled by a process of its own, which may hang in it, and the caller waits no
// longer than it says. Non-promise: it ends the waiting, not the writes (mountcheck/drain tells about
// those), and what it breaks stays broken: afterwards the mount is of no use. A lever that the privileges
// do not reach is an error. To be called by internal/lifecycle when a payload cannot be killed: Capture
// while the volumes are mounted, Pull for one lever after the other as long as the payload is still stuck;
// Main is the process that pulls.
package rescue

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/mountcheck/fusectl"
)

// The levers.
const (
	Abort      = "abort"      // the FUSE connection
	Force      = "force"      // umount2 with MNT_FORCE: gives up what waits, and leaves the mount
	Disconnect = "disconnect" // the network block device
	// Detach frees nobody: it takes a mount that another lever broke out of the way.
	Detach = "detach"
)

// A Lever is one thing that can be done for one volume.
type Lever struct {
	Kind   string             `json:"kind"`
	Mount  mountcheck.Mount   `json:"mount"`
	FUSE   fusectl.Connection `json:"fuse,omitzero"`
	Device Device             `json:"device,omitzero"`
}

// String is a lever as messages show it.
func (l Lever) String() string {
	switch l.Kind {
	case Abort:
		return fmt.Sprintf("abort FUSE connection %d of %s", l.FUSE.Minor, l.Mount.Point)
	case Disconnect:
		return fmt.Sprintf("disconnect %s below %s", l.Device.Name, l.Mount.Point)
	case Detach:
		return "detach " + l.Mount.Point
	}
	return "umount with force of " + l.Mount.Point
}

// A Device is a network block device as it was attached.
type Device struct {
	Name string `json:"name"`
	Pid  string `json:"pid"` // as the driver shows it: another number is another attachment
}

// A Plan holds the levers in the order in which they are to be pulled.
type Plan struct {
	Levers []Lever
	list   *fusectl.List // open, so that connections keep their names
}

// Capture looks at paths that are mounted and right. Where there is nothing to pull there is no lever.
func Capture(paths []string) (*Plan, error) {
	p := &Plan{list: fusectl.Open()}
	for _, path := range paths {
		m, err := mountcheck.Trace(path)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("cannot tell how %s could be freed: %w", path, err), p.list.Close())
		}
		levers, err := p.leversOf(m)
		if err != nil {
			return nil, errors.Join(err, p.list.Close())
		}
		p.Levers = append(p.Levers, levers...)
	}
	return p, nil
}

// Close lets go of what the plan holds.
func (p *Plan) Close() error { return p.list.Close() }

func (p *Plan) leversOf(m mountcheck.Mount) ([]Lever, error) {
	if m.Point == "/" {
		return nil, nil // everything here stands on it, this process, too
	}
	force := Lever{Kind: Force, Mount: m}
	switch kind, _, _ := strings.Cut(m.FSType, "."); {
	case kind == "fuse" || kind == "fuseblk":
		c, err := p.list.Find(m.Minor)
		if err != nil || c.Inode == 0 {
			return []Lever{force}, nil // it breaks the connection, too
		}
		return []Lever{{Kind: Abort, Mount: m, FUSE: c}}, nil
	case m.FSType == "nfs" || m.FSType == "nfs4":
		return []Lever{force, force}, nil
	case m.NBD():
		d, err := deviceOf(m)
		return []Lever{{Kind: Disconnect, Mount: m, Device: d}}, err
	}
	return nil, nil
}

func deviceOf(m mountcheck.Mount) (Device, error) {
	dir, err := filepath.EvalSymlinks(fmt.Sprintf("/sys/dev/block/%d:%d", m.Major, m.Minor))
	if err != nil {
		return Device{}, err
	}
	if _, err := os.Stat(filepath.Join(dir, "partition")); err == nil {
		dir = filepath.Dir(dir)
	}
	d := Device{Name: filepath.Base(dir)}
	d.Pid, err = pidOf(d.Name)
	return d, err
}

func pidOf(name string) (string, error) {
	raw, err := os.ReadFile(filepath.Join("/sys/block", name, "pid"))
	return strings.TrimSpace(string(raw)), err
}
