package drain

import (
	"errors"
	"fmt"
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sever ends a connection for every process that has it, at once. To close it does that only when the last one does,
// and a process that sleeps on a disk does not. Over TCP a plain end is not enough either: a server that waits until
// its reader takes more does not look for it, so the connection is reset.
func sever(c net.Conn) error {
	var err error
	switch c := c.(type) {
	case *net.UnixConn:
		err = errors.Join(ended(c.CloseRead()), ended(c.CloseWrite()))
	case *net.TCPConn:
		err = reset(c)
	default:
		err = fmt.Errorf("no way to end a connection of type %T", c)
	}
	if err != nil {
		return fmt.Errorf("the connection of the list's reader may still be open: %w", err)
	}
	return nil
}

// ended drops what says that the other side was first.
func ended(err error) error {
	if errors.Is(err, unix.ENOTCONN) {
		return nil
	}
	return err
}

// reset dissolves the association of a socket, which sends a reset.
func reset(c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var errno unix.Errno
	err = raw.Control(func(fd uintptr) {
		none := unix.RawSockaddr{Family: unix.AF_UNSPEC}
		_, _, errno = unix.Syscall(unix.SYS_CONNECT, fd, uintptr(unsafe.Pointer(&none)), unsafe.Sizeof(none))
	})
	if err == nil && errno != 0 {
		err = ended(errno)
	}
	return err
}
