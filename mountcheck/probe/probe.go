// Package probe is the helper process that touches a mount so that the agent never has to.
//
// Promise: every request opens the mountpoint first, compares what it opened with the mount that was
// meant, and works only through that descriptor: a mount that goes away between the two never makes it
// read or write the directory below. Each stage is announced before it begins. Between requests it
// holds no descriptor on the mount. Non-promise: it has no timeouts; a call that hangs hangs, and the
// parent kills it. Called by the role switch of the program (Main) and by mountcheck (the wire types).
//
// It is dispatched before most of the program is initialised: it may import only os, syscall and the
// like, never os/exec, net or log/slog.
package probe

import (
	"encoding/binary"
	"os"
	"os/signal"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Name is argv[0] of a helper: the role switch knows it by that.
const Name = "interlock-probe"

// The helper's descriptors: its end of the SEQPACKET pair, and the memory for its stamps and answers.
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
	buf := make([]byte, maxPacket)
	c := call{page: page}
	for {
		n, e := receive(socket, buf)
		switch {
		case e != 0:
			return exitInternal
		case n == 0:
			return exitEnd
		}
		req, err := DecodeRequest(buf[:n])
		if err != nil || !c.run(req) || !send(socket, req.Number) {
			return exitInternal
		}
	}
}

// receive waits for a request. Go's scheduler is not told that it waits: it would look for somebody to run
// meanwhile, and there is nobody. With that and slack a request wakes this one thread.
func receive(socket int, buf []byte) (int, syscall.Errno) {
	for {
		n, _, e := unix.RawSyscall(unix.SYS_READ, uintptr(socket), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
		if e != unix.EINTR {
			return int(n), e
		}
	}
}

// call is a request on its way, and memory that the next one uses again.
type call struct {
	page    *Page
	req     Request
	step    Step
	at      Stage
	got     Ident
	content []byte // of the file read last
	written []byte
}

// run takes one step after the other, and stops after the first that is not answered plainly. False: the answers
// cannot be told.
func (c *call) run(req Request) bool {
	c.req, c.step, c.got = req, req.Steps[0], Ident{}
	if c.step.Op == OpResolve {
		return c.page.answer(c.resolve())
	}
	root, r := c.open()
	if r.Status != StatusOK {
		return c.page.answer(r)
	}
	defer unix.Close(root)
	for _, c.step = range req.Steps {
		r := c.on(root)
		if !c.page.answer(r) {
			return false
		}
		if !c.step.plain(r) {
			break
		}
	}
	return true
}

// enter announces a stage, whose time begins.
func (c *call) enter(s Stage) {
	c.at = s
	c.page.stamp(s)
}

func send(socket int, number uint64) bool {
	b := binary.LittleEndian.AppendUint64(nil, number)
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
