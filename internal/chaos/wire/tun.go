package wire

import (
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

const device = "wire0"

// setUp makes the device of the calling thread's namespace, and brings it and loopback up.
func setUp(addr netip.Addr) (*os.File, error) {
	tun, err := openTun()
	if err != nil {
		return nil, err
	}
	if err := configure(addr); err != nil {
		return nil, fmt.Errorf("%w (close: %v)", err, tun.Close())
	}
	return tun, nil
}

func openTun() (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	ifr, err := unix.NewIfreq(device)
	if err != nil {
		return nil, closing(fd, err)
	}
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return nil, closing(fd, fmt.Errorf("TUNSETIFF: %w", err))
	}
	return os.NewFile(uintptr(fd), device), nil
}

func configure(addr netip.Addr) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := up(fd, "lo"); err != nil {
		return err
	}
	for _, s := range []struct {
		what  uint
		value netip.Addr
	}{{unix.SIOCSIFADDR, addr}, {unix.SIOCSIFNETMASK, netip.AddrFrom4([4]byte{255, 255, 255, 0})}} {
		ifr, err := unix.NewIfreq(device)
		if err != nil {
			return err
		}
		four := s.value.As4()
		if err := ifr.SetInet4Addr(four[:]); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(fd, s.what, ifr); err != nil {
			return fmt.Errorf("address of %s: %w", device, err)
		}
	}
	return up(fd, device)
}

func up(fd int, name string) error {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, ifr); err != nil {
		return fmt.Errorf("flags of %s: %w", name, err)
	}
	ifr.SetUint16(ifr.Uint16() | unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("bringing %s up: %w", name, err)
	}
	return nil
}
