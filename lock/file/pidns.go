package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/process"
)

// pidNamespaceEmpty looks at every process that there is. It needs a /proc that shows all of the
// namespace: mounted for our own PID namespace, which is the one that the namespace was made from (or the
// host's), and hiding nobody. Only then is "none has it" a proof, and one without a race: as long as
// anything lives in a PID namespace its init does, under one and the same number, so a listing that was
// begun while it lived has it.
func pidNamespaceEmpty(d Domain) (string, error) {
	if err := seesAll(d.PIDNSCreator); err != nil {
		return "", err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return "", fmt.Errorf("cannot list the processes: %w", err)
	}
	seen := 0
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		if err := isOutside(e.Name(), d.PIDNS); err != nil {
			return "", err
		}
		seen++
	}
	if seen == 0 {
		return "", errors.New("/proc shows no process, not even our own")
	}
	return fmt.Sprintf("none of %d processes is in PID namespace %d", seen, d.PIDNS), nil
}

// isOutside fails unless the process is known not to be in the namespace, or has ended. Where we may not
// look at its namespace, the public status can still tell that it is in ours.
func isOutside(pid string, namespace uint64) error {
	is, err := inode(filepath.Join("/proc", pid, "ns/pid"))
	switch {
	case err == nil && is == namespace && !isDead(pid):
		return fmt.Errorf("process %s is in the earlier holder's PID namespace", pid)
	case err == nil || hasEnded(err):
		return nil
	}
	depth, statusErr := depthOf(pid)
	if hasEnded(statusErr) || statusErr == nil && depth == 1 {
		return nil
	}
	return fmt.Errorf("cannot tell the PID namespace of process %s: %w", pid, err)
}

// isDead tells a zombie without any thread left: nobody has taken its status, but it runs no more. The init
// of a namespace comes to this only after the kernel has ended all others in it.
func isDead(pid string) bool {
	n, err := strconv.Atoi(pid)
	if err != nil {
		return false
	}
	s, err := process.Read(n)
	return err == nil && s.Ended()
}

func hasEnded(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) }

// depthOf counts the PID namespaces that a process is in, from ours on: 1 means that it is in ours alone.
func depthOf(pid string) (int, error) {
	text, err := os.ReadFile(filepath.Join("/proc", pid, "status"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if numbers, ok := strings.CutPrefix(line, "NSpid:"); ok {
			return len(strings.Fields(numbers)), nil
		}
	}
	return 0, fmt.Errorf("status of process %s does not list its PID namespaces", pid)
}

// hostPIDNS is the inode of the first PID namespace (PROC_PID_INIT_INO of the kernel).
const hostPIDNS = 0xEFFFFFFC

// seesAll fails unless our /proc shows every process of the namespace.
func seesAll(creator uint64) error {
	own, err := inode("/proc/self/ns/pid")
	if err != nil {
		return fmt.Errorf("cannot tell the own PID namespace: %w", err)
	}
	if own != hostPIDNS && own != creator {
		return errors.New("the record's PID namespace was made from another one than ours, so its processes may be hidden from us")
	}
	self, err := os.Readlink("/proc/self")
	if err != nil || self != strconv.Itoa(os.Getpid()) {
		return errors.New("/proc is mounted for another PID namespace than ours")
	}
	return hidesNobody()
}

// hidesNobody fails if any mount on /proc, the visible or a covered one, leaves processes out.
func hidesNobody() error {
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) { return m.Mountpoint != "/proc", false })
	if err != nil || len(mounts) == 0 {
		return fmt.Errorf("cannot tell how /proc is mounted (%v)", err)
	}
	for _, m := range mounts {
		for option := range strings.SplitSeq(m.VFSOptions, ",") {
			value, hides := strings.CutPrefix(option, "hidepid=")
			if hides && value != "0" && value != "off" {
				return fmt.Errorf("/proc is mounted with %s, which hides processes", option)
			}
		}
	}
	return nil
}
