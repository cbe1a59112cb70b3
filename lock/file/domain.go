package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// A Domain is where all that a holder ran is, as the holder's record says it. Cgroup or PID namespace
// is set for the way of killing that was in force; zero or empty means that it was not.
type Domain struct {
	BootID       string // /proc/sys/kernel/random/boot_id
	CgroupNS     uint64 // inode of the cgroup namespace in which CgroupPath was read
	CgroupPath   string // path of the cgroup v2, as in /proc/PID/cgroup
	CgroupID     uint64 // inode of that cgroup's directory
	PIDNS        uint64 // inode of the PID namespace that the payload ran in
	PIDNSCreator uint64 // inode of the PID namespace from which it was made: from there all of it is seen
}

// Here gives what a holder puts into its record before it adds its cgroup or PID namespace: boot, own
// cgroup namespace, and the own PID namespace as the creator's.
func Here() (Domain, error) {
	boot, err := bootID()
	if err != nil {
		return Domain{}, err
	}
	cgroupNS, err := inode("/proc/self/ns/cgroup")
	if err != nil {
		return Domain{}, err
	}
	pidNS, err := inode("/proc/self/ns/pid")
	if err != nil {
		return Domain{}, err
	}
	return Domain{BootID: boot, CgroupNS: cgroupNS, PIDNSCreator: pidNS}, nil
}

// ProvenEmpty tells whether nothing of an earlier holder can be running any more, and how that is known,
// or why it is not. Everything that the domain names must be proven empty; what cannot be seen, and what
// is absent, is not empty.
func ProvenEmpty(d Domain) (bool, string) {
	if d.CgroupID == 0 && d.PIDNS == 0 {
		return false, "the record names neither cgroup nor PID namespace"
	}
	boot, err := bootID()
	if err != nil {
		return false, err.Error()
	}
	if d.BootID == "" || d.BootID != boot {
		return false, "the record is of another boot, or names none"
	}
	var how []string
	for _, part := range []struct {
		named bool
		proof func(Domain) (string, error)
	}{{d.CgroupID != 0, cgroupEmpty}, {d.PIDNS != 0, pidNamespaceEmpty}} {
		if !part.named {
			continue
		}
		why, err := part.proof(d)
		if err != nil {
			return false, err.Error()
		}
		how = append(how, why)
	}
	return true, strings.Join(how, "; ")
}

func bootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	id := strings.TrimSpace(string(text))
	if err == nil && id == "" {
		err = errors.New("it is empty")
	}
	if err != nil {
		return "", fmt.Errorf("cannot read the boot id: %w", err)
	}
	return id, nil
}

// inode gives the inode number of what a path leads to.
func inode(path string) (uint64, error) {
	st, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, &fs.PathError{Op: "stat", Path: path, Err: errors.ErrUnsupported}
	}
	return sys.Ino, nil
}
