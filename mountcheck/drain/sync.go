package drain

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sync waits until all that was written to the filesystem of path is stored, and until its server has then
// answered once more: a sync of a filesystem without pages to write asks nobody. It hangs as long as the
// filesystem does, so it is called in a process that may.
func Sync(path string) error {
	f, err := os.OpenFile(path, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	err = unix.Syncfs(int(f.Fd()))
	if err == nil {
		var st unix.Statfs_t
		err = unix.Fstatfs(int(f.Fd()), &st)
	}
	if err != nil {
		err = &os.PathError{Op: "sync", Path: path, Err: err}
	}
	return errors.Join(err, f.Close())
}

// SettleDevice waits until a block device that is not mounted has answered a flush and a read: on one
// connection that is after everything that was asked of it before. It hangs as long as the device does.
func SettleDevice(device string) error {
	f, err := os.OpenFile(device, unix.O_RDWR|unix.O_DIRECT, 0)
	if err != nil {
		return err
	}
	err = f.Sync()
	if err == nil {
		_, err = unix.Pread(int(f.Fd()), aligned(), 0)
		if err != nil {
			err = &os.PathError{Op: "read", Path: device, Err: err}
		}
	}
	return errors.Join(err, f.Close())
}

// aligned is a buffer as direct reads want it.
func aligned() []byte {
	const size = 4096
	b := make([]byte, 2*size)
	skip := size - int(uintptr(unsafe.Pointer(&b[0]))%size)
	return b[skip : skip+size]
}
