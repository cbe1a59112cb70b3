package file

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// cgroupEmpty asks the kernel whether a cgroup v2 and everything below it has no process left.
func cgroupEmpty(d Domain) (string, error) {
	own, err := inode("/proc/self/ns/cgroup")
	if err != nil {
		return "", fmt.Errorf("cannot tell the own cgroup namespace: %w", err)
	}
	if d.CgroupNS != own {
		return "", errors.New("the record's cgroup is of another cgroup namespace")
	}
	dir, err := cgroupDir(d.CgroupPath)
	if err != nil {
		return "", err
	}
	// Looked at before and after: a directory of another cgroup that took the name would show.
	if err := isCgroup(dir, d.CgroupID); err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.events"))
	if err != nil {
		return "", fmt.Errorf("cannot read the events of cgroup %s: %w", dir, err)
	}
	if err := isCgroup(dir, d.CgroupID); err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if strings.TrimSpace(line) == "populated 0" {
			return "cgroup " + dir + " has no process left", nil
		}
	}
	return "", fmt.Errorf("cgroup %s still has processes, or does not say", dir)
}

func isCgroup(dir string, id uint64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("cannot look at cgroup %s: %w", dir, err)
	}
	if uint32(st.Type) != unix.CGROUP2_SUPER_MAGIC {
		return fmt.Errorf("%s is hidden below another mount: expected a cgroup v2", dir)
	}
	is, err := inode(dir)
	if err != nil {
		return fmt.Errorf("cannot look at cgroup %s: %w", dir, err)
	}
	if is != id {
		return fmt.Errorf("cgroup %s is another one of the same name", dir)
	}
	return nil
}

// cgroupDir finds the directory of a cgroup v2 path, on a mount that shows the whole tree of our cgroup
// namespace.
func cgroupDir(path string) (string, error) {
	if !strings.HasPrefix(path, "/") || filepath.Clean(path) != path || path == "/" || strings.HasPrefix(path, "/..") {
		return "", fmt.Errorf("the record's cgroup path %q: expected the absolute path of a cgroup below the root", path)
	}
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup2"))
	if err != nil {
		return "", fmt.Errorf("cannot read the mounts: %w", err)
	}
	for _, m := range mounts {
		if m.Root == "/" {
			return filepath.Join(m.Mountpoint, path), nil
		}
	}
	return "", errors.New("no cgroup v2 tree of the own cgroup namespace is mounted")
}
