package drain

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// A network is a network namespace other than ours. It is held open: its connections outlive its processes.
type network struct {
	file  *os.File
	inode uint64
}

// networkOf is the one that a process is in; found is false if that is ours.
func networkOf(pid int) (n network, found bool, err error) {
	ours, err := os.Stat("/proc/self/ns/net")
	if err != nil {
		return n, false, err
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return n, false, err
	}
	theirs, err := f.Stat()
	if err != nil || os.SameFile(ours, theirs) {
		_ = f.Close() // nothing was done with it
		return n, false, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(int(f.Fd()), &st); err != nil {
		_ = f.Close() // nothing was done with it
	}
	return network{f, st.Ino}, err == nil, err
}

// connections reads its tables. A thread goes there for that; one that could not come back ends.
func (n network) connections() (all []conn, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		home, openErr := os.Open("/proc/thread-self/ns/net")
		if err = openErr; err != nil {
			runtime.UnlockOSThread()
			return
		}
		defer home.Close()
		if err = unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			err = fmt.Errorf("cannot look into the network namespace of the FUSE daemon: %w", err)
			runtime.UnlockOSThread()
			return
		}
		all, err = connectionsIn("/proc/thread-self/net")
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
	}()
	<-done
	return all, err
}
