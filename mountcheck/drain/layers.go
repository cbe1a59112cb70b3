package drain

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/interlock-run/interlock/mountcheck"
)

// maxDepth bounds how many devices may stand on each other.
const maxDepth = 8

// layersOf follows a mount down to where its bytes end. block is true for a filesystem on a device.
func (p *Plan) layersOf(m mountcheck.Mount, export netip.AddrPort) (layers []layer, block bool) {
	return p.below(m, export, maxDepth)
}

func (p *Plan) below(m mountcheck.Mount, export netip.AddrPort, depth int) ([]layer, bool) {
	if depth == 0 {
		return []layer{strange{m.Point + " stands on too many devices to follow"}}, true
	}
	kind, sub, _ := strings.Cut(m.FSType, ".")
	switch {
	case inMemory(m.FSType):
		return []layer{local{m.FSType}}, false
	case m.FSType == "nfs" || m.FSType == "nfs4":
		return []layer{newNFS(m)}, false
	case kind == "fuseblk":
		return append(p.device(m.Major, m.Minor, export, depth), newFUSE(p.control, m)), true
	case kind == "fuse" && sub == "lxcfs":
		return []layer{local{m.FSType}}, false
	case kind == "fuse" && sub == "sshfs":
		return []layer{strange{"sshfs leaves the connection to its server to an ssh of which it is not the parent, and which may outlive it"}}, false
	case kind == "fuse":
		return []layer{newFUSE(p.control, m)}, false
	case m.FSType == "overlay":
		return p.overlay(m, export, depth)
	case m.FSType == "btrfs" || m.FSType == "zfs" || m.FSType == "bcachefs":
		// Several devices under one filesystem whose number is none of theirs.
		return p.bySource(m, export, depth), true
	case m.Major != 0:
		return p.device(m.Major, m.Minor, export, depth), true
	}
	return []layer{strange{fmt.Sprintf("there is no way to ask a filesystem of type %s whether it is drained", m.FSType)}}, false
}

func inMemory(fstype string) bool {
	switch fstype {
	case "tmpfs", "ramfs", "devtmpfs", "proc", "sysfs", "cgroup", "cgroup2", "hugetlbfs", "mqueue", "rootfs",
		"devpts", "securityfs", "debugfs", "tracefs", "configfs", "fusectl", "bpf", "nsfs", "binfmt_misc", "pstore":
		return true
	}
	return false
}

// overlay writes to its upper directory alone.
func (p *Plan) overlay(m mountcheck.Mount, export netip.AddrPort, depth int) ([]layer, bool) {
	upper, found := option(m.Super, "upperdir")
	if !found {
		return []layer{local{"a read-only overlay"}}, false
	}
	if m.Point == "/" {
		return []layer{local{"a container's own layer"}}, false // nobody but this host reads it
	}
	on, err := mountcheck.Trace(upper)
	if err != nil || on.FSType == "overlay" {
		// Its upper directory has a path in another mount namespace.
		return []layer{strange{fmt.Sprintf("%s: the upper directory %s of the overlay is not seen here", m.Point, upper)}}, true
	}
	return p.below(on, export, depth-1)
}

// bySource takes the device that the mount names. A second device of the filesystem is not seen.
func (p *Plan) bySource(m mountcheck.Mount, export netip.AddrPort, depth int) []layer {
	major, minor, err := deviceNumber(m.Source)
	if err != nil {
		return []layer{strange{fmt.Sprintf("%s: %v", m.Point, err)}}
	}
	return p.device(major, minor, export, depth)
}

func deviceNumber(source string) (major, minor int, err error) {
	raw, err := os.ReadFile(filepath.Join("/sys/class/block", filepath.Base(source), "dev"))
	if err != nil || !strings.HasPrefix(source, "/dev/") {
		return 0, 0, fmt.Errorf("%s is no block device known here: %w", source, err)
	}
	_, err = fmt.Sscanf(string(raw), "%d:%d", &major, &minor)
	return major, minor, err
}

// device follows a block device down: partitions, device mapper, md, loop.
func (p *Plan) device(major, minor int, export netip.AddrPort, depth int) []layer {
	if depth == 0 {
		return []layer{strange{fmt.Sprintf("device %d:%d stands on too many others to follow", major, minor)}}
	}
	dir, err := filepath.EvalSymlinks(fmt.Sprintf("/sys/dev/block/%d:%d", major, minor))
	if err != nil {
		return []layer{strange{fmt.Sprintf("device %d:%d: %v", major, minor, err)}}
	}
	if _, err := os.Stat(filepath.Join(dir, "partition")); err == nil {
		dir = filepath.Dir(dir)
	}
	name := filepath.Base(dir)
	switch {
	case strings.HasPrefix(name, "nbd"):
		return []layer{newNBD(name, export)}
	case strings.HasPrefix(name, "loop"):
		return p.loop(dir, export, depth)
	case strings.HasPrefix(name, "dm-"), strings.HasPrefix(name, "md"):
		return p.slaves(dir, export, depth)
	}
	return []layer{hardware(dir, name)}
}

// hardware is local as far as the path of the device in /sys tells: a session is iSCSI's, an rport that
// of a storage network.
func hardware(dir, name string) layer {
	for _, part := range strings.Split(dir, "/") {
		switch {
		case strings.HasPrefix(part, "session"), strings.HasPrefix(part, "rport-"), strings.HasPrefix(part, "nvme-fabrics"), strings.HasPrefix(part, "nvme-subsys"):
			return strange{fmt.Sprintf("%s is reached over a network (%s), which cannot be asked whether it is drained", name, part)}
		}
	}
	for _, prefix := range []string{"sd", "vd", "xvd", "nvme", "hd", "mmcblk", "ram", "zram", "pmem", "sr", "dasd", "ubd"} {
		if strings.HasPrefix(name, prefix) {
			return local{name}
		}
	}
	return strange{fmt.Sprintf("%s is a kind of device that cannot be asked whether it is drained", name)}
}

// loop writes into a file, which lies on another mount.
func (p *Plan) loop(dir string, export netip.AddrPort, depth int) []layer {
	raw, err := os.ReadFile(filepath.Join(dir, "loop", "backing_file"))
	file := strings.TrimSuffix(string(raw), "\n")
	if err != nil || !filepath.IsAbs(file) || strings.HasSuffix(file, " (deleted)") {
		return []layer{strange{fmt.Sprintf("%s: the file behind it is not known: %q", filepath.Base(dir), file)}}
	}
	on, err := mountcheck.Trace(file)
	if err != nil {
		return []layer{strange{fmt.Sprintf("%s: %v", filepath.Base(dir), err)}}
	}
	layers, _ := p.below(on, export, depth-1)
	for i, l := range layers {
		if _, ends := l.(local); !ends {
			layers[i] = beneath{l}
		}
	}
	return layers
}

// beneath is what the filesystem of a loop device's file writes to. It stays mounted, whatever becomes of the loop
// device, and a sync above says nothing of it: the unmount wrote once more. A flush of the device after that does.
type beneath struct{ layer }

func (b beneath) check(e Evidence) (State, string) {
	return b.layer.check(Evidence{Synced: e.Settled, Left: true})
}

func (p *Plan) slaves(dir string, export netip.AddrPort, depth int) []layer {
	names, err := os.ReadDir(filepath.Join(dir, "slaves"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) || len(names) == 0 {
		return []layer{strange{fmt.Sprintf("%s: the devices below it are not known", filepath.Base(dir))}}
	}
	var all []layer
	for _, n := range names {
		major, minor, err := deviceNumber("/dev/" + n.Name())
		if err != nil {
			return append(all, strange{err.Error()})
		}
		all = append(all, p.device(major, minor, export, depth-1)...)
	}
	return all
}

// option is the value of one of a mount's options.
func option(options, key string) (string, bool) {
	for o := range strings.SplitSeq(options, ",") {
		if k, value, _ := strings.Cut(o, "="); k == key {
			return value, true
		}
	}
	return "", false
}
