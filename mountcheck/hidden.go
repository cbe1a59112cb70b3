package mountcheck

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
	if strings.HasPrefix(device, "nbd") && k.read("sys/kernel/debug/nbd", device, "timeout") == "0" {
		out = append(out, untimed)
	}
	return out
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
