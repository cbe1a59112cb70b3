package mountcheck

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// untimed stands for a network block device without a timeout, as if it were an option of its mounts.
const untimed = "nbd_timeout=0"

// kernel is where the kernel tells of devices: "/" but in tests. Nothing there asks a filesystem or a
// device, so nothing can hang.
type kernel string

// hidden are settings in force that the mount table does not show because they are the filesystem's default
// or the device's. What cannot be read is not known, and says nothing.
func (k kernel) hidden(m Mount) []string {
	if m.FSType != "ext4" && !strings.HasPrefix(m.Source, "/dev/nbd") {
		return nil
	}
	device := k.device(m)
	var out []string
	if o := k.onError(device); m.FSType == "ext4" && o != "" {
		out = append(out, o)
	}
	if timeout, known := k.nbdTimeout(device); known && timeout == "0" {
		out = append(out, untimed)
	}
	return out
}

// nbdTimeout is what nbd-client set; known is false for other devices, and where the kernel does not tell.
func (k kernel) nbdTimeout(device string) (seconds string, known bool) {
	if !strings.HasPrefix(device, "nbd") {
		return "", false
	}
	device, _, _ = strings.Cut(device, "p") // a partition is the whole device's
	if seconds = k.read("sys/kernel/debug/nbd", device, "timeout"); seconds == "" && k == "/" {
		seconds = readDebug("nbd/" + device + "/timeout")
	}
	return seconds, seconds != ""
}

// TimeoutKnown is false for a mount of a network block device of which the kernel does not tell whether it has a
// timeout: one without cannot be refused then.
func TimeoutKnown(m Mount) bool {
	device := kernel("/").device(m)
	_, known := kernel("/").nbdTimeout(device)
	return known || !strings.HasPrefix(device, "nbd")
}

// readDebug reads a small file of the kernel's debug filesystem, which many hosts and all containers have not
// mounted: from a mount of our own that nobody else sees (CAP_SYS_ADMIN, Linux 5.2).
func readDebug(file string) string {
	fsfd, err := unix.Fsopen("debugfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return ""
	}
	defer unix.Close(fsfd)
	if unix.FsconfigCreate(fsfd) != nil {
		return ""
	}
	dir, err := unix.Fsmount(fsfd, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY)
	if err != nil {
		return ""
	}
	defer unix.Close(dir)
	fd, err := unix.Openat(dir, file, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	b := make([]byte, 4096)
	n, err := unix.Read(fd, b)
	if err != nil || n < 0 {
		return ""
	}
	return strings.TrimSpace(string(b[:n]))
}

// device is the kernel's name of the device that is mounted: the name in the table may be a link or a lie.
func (k kernel) device(m Mount) string {
	link, err := os.Readlink(filepath.Join(string(k), "sys/dev/block", fmt.Sprintf("%d:%d", m.Major, m.Minor)))
	if err != nil {
		return ""
	}
	return filepath.Base(link)
}

// onError is what ext4 does after an error; /proc shows also what is its superblock's default.
func (k kernel) onError(device string) string {
	for line := range strings.Lines(k.read("proc/fs/ext4", device, "options")) {
		if o := strings.TrimSpace(line); strings.HasPrefix(o, "errors=") {
			return o
		}
	}
	return ""
}

func (k kernel) read(dir, device, file string) string {
	if device == "" {
		return ""
	}
	b, err := os.ReadFile(filepath.Join(string(k), dir, device, file))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
