package device

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// node is the kernel's name of the device; empty where there is none now. The path may be a link that comes
// and goes with the device, as below /dev/disk/by-path.
func (w *work) node() (string, error) {
	real, err := filepath.EvalSymlinks(w.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return filepath.Base(real), err
}

// sys reads a file of the device's directory in sysfs; empty where it is not there.
func sys(node, file string) (string, error) {
	raw, err := os.ReadFile(filepath.Join("/sys/class/block", node, file))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return strings.TrimSpace(string(raw)), nil
}

// mark is what the kernel shows of an attachment, different for each; empty: nothing is attached.
func (w *work) mark() (string, error) {
	node, err := w.node()
	if err != nil || node == "" {
		return "", err
	}
	size, err := sys(node, "size")
	if err != nil {
		return "", err
	}
	if size == "" {
		return "", nil
	}
	node, err = disk(node)
	if err != nil {
		return "", err
	}
	pid, err := sys(node, "pid")
	if err != nil || size == "0" && pid == "" {
		return "", err
	}
	if pid != "" { // of the nbd driver
		return "attached " + pid, nil
	}
	// From Linux 5.15; the path of a file says less, and is another one when the file is renamed.
	for _, name := range []string{"diskseq", "loop/backing_file"} {
		part, err := sys(node, name)
		if err != nil || part != "" {
			return "attached " + name + " " + part, err
		}
	}
	return "attached", nil
}

// disk is the node of the whole device that a partition is on, or the device itself.
func disk(node string) (string, error) {
	part, err := sys(node, "partition")
	if err != nil || part == "" {
		return node, err
	}
	real, err := filepath.EvalSymlinks(filepath.Join("/sys/class/block", node))
	return filepath.Base(filepath.Dir(real)), err
}

// number is that of the device as it is now, or was when it was attached: a mount outlives its device.
func (w *work) number() (string, error) {
	node, err := w.node()
	if err != nil {
		return "", err
	}
	if node != "" {
		if number, err := sys(node, "dev"); err != nil || number != "" {
			return number, err
		}
	}
	return w.state.rec.Number, nil
}

// mountedAt lists where the device is mounted, as seen here.
func (w *work) mountedAt() (points []string, err error) {
	number, err := w.number()
	if err != nil || number == "" {
		return nil, err
	}
	infos, err := table()
	for _, i := range infos {
		if fmt.Sprintf("%d:%d", i.Major, i.Minor) == number {
			points = append(points, i.Mountpoint)
		}
	}
	return points, err
}

// mountedNow tells whether the device is what is mounted at the mountpoint; isOurs is the same as a demand.
func (w *work) mountedNow() (bool, error) {
	number, err := w.number()
	if err != nil || number == "" {
		return false, err
	}
	top, err := at(w.Point)
	return top != nil && err == nil && fmt.Sprintf("%d:%d", top.Major, top.Minor) == number && top.Root == "/", err
}
