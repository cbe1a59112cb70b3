// Package probe is the helper process that touches a mount so that the agent never has to.
//
// Promise: every request opens the mountpoint first, compares what it opened with the mount that was
// meant, and works only through that descriptor: a mount that goes away between the two never makes it
// read or write the directory below. Each step is announced before it is taken. Between requests it
// holds no descriptor on the mount. Non-promise: it has no timeouts; a call that hangs hangs, and the
// parent kills it. Called by the role switch of the program (Main) and by mountcheck (the wire types).
//
// It is dispatched before most of the program is initialised: it may import only os, syscall and the
// like, never os/exec, net or log/slog.
package probe

import (
	"os"
	"os/signal"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Name is argv[0] of a helper: the role switch knows it by that.
const Name = "interlock-probe"

// The helper's descriptors: its end of the SEQPACKET pair, and the memory in which it stamps its steps.
const (
	socketFD = 3
	pageFD   = 4
)

// Exit statuses of a helper.
const (
	exitEnd      = 0  // the parent closed its end
	exitInternal = 70 // a panic or a broken socket
)

// Main serves requests until the parent is gone. Its result is the exit status.
func Main() (status int) {
	defer func() {
		if recover() != nil {
			status = exitInternal
		}
	}()
	// Some orchestrators signal every process of the tree; the helper ends with its parent alone.
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE,
		syscall.SIGUSR1, syscall.SIGUSR2)
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return exitInternal
	}
	setName()
	page, err := mapPage(pageFD)
	if err != nil {
		return exitInternal
	}
	unix.Close(pageFD)
	shed()
	return serve(socketFD, page)
}

// setName lets ps and the kernel's messages about hung tasks tell what this is: the file that was run is
// /proc/self/exe.
func setName() {
	if name, err := unix.BytePtrFromString(Name); err == nil {
		// Only cosmetics fail with this.
		_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(name)), 0, 0, 0)
	}
}

func serve(socket int, page *Page) int {
	buf := make([]byte, MaxPacket)
	for {
		n, err := unix.Read(socket, buf)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return exitInternal
		case n == 0:
			return exitEnd
		}
		c := call{page: page}
		if c.req, err = DecodeRequest(buf[:n]); err != nil {
			return exitInternal
		}
		if !send(socket, c.run()) {
			return exitInternal
		}
	}
}

// call is one request on its way.
type call struct {
	page *Page
	req  Request
	at   Stage
	got  Ident
}

// enter announces a stage, whose time begins.
func (c *call) enter(s Stage) {
	c.at = s
	c.page.stamp(s)
}

func send(socket int, r Reply) bool {
	b := r.Encode()
	for {
		_, err := unix.Write(socket, b)
		if err != unix.EINTR {
			return err == nil
		}
	}
}

// done, status and fail make the answer to a request.
func (c *call) done(data []byte) Reply {
	return Reply{Stage: c.at, Got: c.got, Data: data}
}

func (c *call) status(s Status, data []byte) Reply {
	return Reply{Stage: c.at, Status: s, Got: c.got, Data: data}
}

func (c *call) fail(err error) Reply {
	r := c.status(StatusErrno, nil)
	r.Errno = uint32(errno(err))
	return r
}

func errno(err error) syscall.Errno {
	if e, ok := err.(*os.PathError); ok {
		err = e.Err
	}
	if e, ok := err.(syscall.Errno); ok {
		return e
	}
	return syscall.EIO
}
