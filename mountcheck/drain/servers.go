package drain

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// servers finds the processes that hold a FUSE connection's device. A newer kernel says which connection
// a descriptor is of; on an older one the processes count that name the mountpoint in their arguments, as
// the daemons of all known filesystems do.
func servers(minor int, point string) ([]int, error) {
	names, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var sure, likely []int
	for _, n := range names {
		pid, err := strconv.Atoi(n.Name())
		if err != nil {
			continue
		}
		connections, holds, err := fuseDevices(pid)
		switch {
		case err != nil:
			return nil, err
		case slices.Contains(connections, minor):
			sure = append(sure, pid)
		case holds && len(connections) == 0 && namesPath(pid, point):
			likely = append(likely, pid)
		}
	}
	if len(sure) > 0 {
		return sure, nil
	}
	return likely, nil
}

// fuseDevices tells of which FUSE connections a process holds the device; holds without a connection: the
// kernel does not say of which.
func fuseDevices(pid int) (connections []int, holds bool, err error) {
	open, err := descriptors(pid)
	if err != nil {
		return nil, false, err
	}
	for fd, target := range open {
		if target != "/dev/fuse" {
			continue
		}
		holds = true
		info, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "fdinfo", fd))
		if err != nil {
			continue
		}
		if minor, found := connectionOf(string(info)); found {
			connections = append(connections, minor)
		}
	}
	return connections, holds, nil
}

// descriptors tells what each number is open on; one that is closed meanwhile is left out. A process that has ended
// has none.
func descriptors(pid int) (map[string]string, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	fds, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	open := make(map[string]string, len(fds))
	for _, fd := range fds {
		if target, err := os.Readlink(filepath.Join(dir, fd.Name())); err == nil {
			open[fd.Name()] = target
		}
	}
	return open, nil
}

// connectionOf reads what the kernel says of a descriptor.
func connectionOf(info string) (minor int, found bool) {
	for line := range strings.Lines(info) {
		if value, is := strings.CutPrefix(line, "fuse_connection:"); is {
			minor, err := strconv.Atoi(strings.TrimSpace(value))
			return minor, err == nil
		}
	}
	return 0, false
}

// namesPath is asked while the volume is right: of a process that hangs the arguments can hang, too.
func namesPath(pid int, path string) bool {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return false
	}
	for arg := range bytes.SplitSeq(raw, []byte{0}) {
		if string(arg) == path || strings.HasSuffix(string(arg), "="+path) {
			return true
		}
	}
	return false
}

func littleEndian() bool { return binary.NativeEndian.Uint16([]byte{1, 0}) == 1 }
