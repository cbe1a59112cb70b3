package watchdog

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// kernel is a device of the kernel's watchdog interface.
type kernel struct{ f *os.File }

func openDevice(path string) (device, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	k := kernel{f}
	info, err := unix.IoctlGetWatchdogInfo(k.fd())
	if err == nil && info.Options&unix.WDIOF_MAGICCLOSE == 0 {
		err = errors.New("any close would disarm it, also that by the end of a killed process (no magic close)")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("not fit: %w", err), k.Disarm())
	}
	return k, nil
}

func (k kernel) fd() int { return int(k.f.Fd()) }

func (k kernel) SetTimeout(seconds int) (int, error) {
	if err := unix.IoctlSetPointerInt(k.fd(), unix.WDIOC_SETTIMEOUT, seconds); err != nil {
		return 0, os.NewSyscallError("WDIOC_SETTIMEOUT", err)
	}
	granted, err := unix.IoctlGetInt(k.fd(), unix.WDIOC_GETTIMEOUT)
	return granted, os.NewSyscallError("WDIOC_GETTIMEOUT", err)
}

func (k kernel) Pet() error {
	return os.NewSyscallError("WDIOC_KEEPALIVE", unix.IoctlWatchdogKeepalive(k.fd()))
}

// Disarm is the kernel's magic close: the letter, then the close.
func (k kernel) Disarm() error {
	_, err := k.f.Write([]byte("V"))
	return errors.Join(err, k.f.Close())
}
