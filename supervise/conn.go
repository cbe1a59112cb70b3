package supervise

import (
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A conn is one end of a SEQPACKET pair: whole messages, descriptors beside them, and an end of file
// when every copy of the other end is closed. net would do the same but is too heavy for a guard.
type conn struct {
	file *os.File
	raw  syscall.RawConn
}

// A packet is one message received.
type packet struct {
	body  []byte
	files []*os.File
	pid   int // of the sender, in our own numbering; only where credentials are passed
}

func (p *packet) close() {
	for _, f := range p.files {
		f.Close() // nothing to lose: the descriptors were only passed
	}
	p.files = nil
}

// newPair makes a pair; far is the raw end that a child inherits. Both are close-on-exec here.
func newPair() (near *conn, far *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	near, err = openConn(fds[0])
	far = os.NewFile(uintptr(fds[1]), "link")
	if err != nil {
		far.Close()
	}
	return near, far, err
}

// openConn takes over a descriptor that this process made or was started with.
func openConn(fd int) (*conn, error) {
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	file := os.NewFile(uintptr(fd), "link")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, err
	}
	return &conn{file, raw}, nil
}

func (c *conn) close() error { return c.file.Close() }

// passCredentials makes the kernel say who sent each message, in our own pid numbering.
func (c *conn) passCredentials() error {
	var err error
	if cerr := c.raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	}); cerr != nil {
		return cerr
	}
	return os.NewSyscallError("setsockopt SO_PASSCRED", err)
}

func sendOnce(fd uintptr, body []byte, files []*os.File) error {
	var oob []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			fds[i] = int(f.Fd())
		}
		oob = unix.UnixRights(fds...)
	}
	for {
		_, err := unix.SendmsgN(int(fd), body, oob, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		if err != unix.EINTR {
			return err
		}
	}
}

// send waits until the message is in the socket.
func (c *conn) send(body []byte, files ...*os.File) error {
	if len(body) > maxMessage {
		return unix.EMSGSIZE
	}
	var err error
	if werr := c.raw.Write(func(fd uintptr) bool {
		err = sendOnce(fd, body, files)
		return err != unix.EAGAIN
	}); werr != nil {
		return werr
	}
	return os.NewSyscallError("sendmsg", err)
}

// trySend never waits; full tells that the other end does not read.
func (c *conn) trySend(body []byte, files ...*os.File) (full bool, err error) {
	if len(body) > maxMessage {
		return false, unix.EMSGSIZE
	}
	if cerr := c.raw.Control(func(fd uintptr) { err = sendOnce(fd, body, files) }); cerr != nil {
		return false, cerr
	}
	return err == unix.EAGAIN, os.NewSyscallError("sendmsg", err)
}

// recv waits for one message; io.EOF when the other end is gone.
func (c *conn) recv(buf []byte) (packet, error) {
	oob := make([]byte, unix.CmsgSpace(8*4)+unix.CmsgSpace(unix.SizeofUcred))
	var n, oobn, flags int
	var err error
	if rerr := c.raw.Read(func(fd uintptr) bool {
		for err = unix.EINTR; err == unix.EINTR; {
			n, oobn, flags, _, err = unix.Recvmsg(int(fd), buf, oob, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
		}
		return err != unix.EAGAIN
	}); rerr != nil {
		return packet{}, rerr
	}
	if err == unix.ECONNRESET || err == nil && n == 0 {
		return packet{}, io.EOF
	}
	if err != nil {
		return packet{}, os.NewSyscallError("recvmsg", err)
	}
	p := packet{body: append([]byte(nil), buf[:n]...)}
	p.control(oob[:oobn])
	if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		p.close()
		return packet{}, errMalformed
	}
	return p, nil
}

// control takes descriptors and credentials out of the ancillary data; what cannot be read is absent,
// and its absence is what the message's own reader refuses.
func (p *packet) control(oob []byte) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return
	}
	for i := range msgs {
		if fds, err := unix.ParseUnixRights(&msgs[i]); err == nil {
			for _, fd := range fds {
				p.files = append(p.files, os.NewFile(uintptr(fd), "passed"))
			}
		}
		if cred, err := unix.ParseUnixCredentials(&msgs[i]); err == nil {
			p.pid = int(cred.Pid)
		}
	}
}
