package rescue

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// The kernel's fixed numbers of the first namespaces, in which the whole machine can be reached.
const (
	firstUsers = "user:[4026531837]"
	firstPIDs  = "pid:[4026531836]"
)

// Privileged is nil if this process may pull levers. All of them take CAP_SYS_ADMIN, and that of the first
// user namespace.
func Privileged() error {
	return capable(unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN", firstUsers)
}

// MayReset is nil if this process may reset the machine. In a PID namespace of its own reboot(2) ends that
// alone.
func MayReset() error {
	return capable(unix.CAP_SYS_BOOT, "CAP_SYS_BOOT", firstUsers, firstPIDs)
}

// Reset resets the machine at once: nothing is synced, for a sync would hang. It returns only if it cannot.
func Reset() error {
	if err := MayReset(); err != nil {
		return err
	}
	return os.NewSyscallError("reboot", unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART))
}

func capable(number uint, name string, spaces ...string) error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&head, &sets[0]); err != nil {
		return os.NewSyscallError("capget", err)
	}
	if sets[number/32].Effective&(1<<(number%32)) == 0 {
		return fmt.Errorf("%s is missing", name)
	}
	for _, want := range spaces {
		kind, _, _ := strings.Cut(want, ":")
		got, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("%s is not that of the machine: this is another namespace, %s", name, got)
		}
	}
	return nil
}
