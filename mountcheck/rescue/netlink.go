package rescue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Of the kernel's nbd-netlink.h.
const (
	nbdFamily        = "nbd"
	nbdCmdDisconnect = 2
	nbdAttrIndex     = 1
)

// disconnectNBD is what nbd-client -d does: every request that waits gets an error.
func disconnectNBD(index uint32) error {
	s, err := openGeneric()
	if err != nil {
		return err
	}
	defer unix.Close(s.fd)
	answer, err := s.ask(unix.GENL_ID_CTRL, unix.CTRL_CMD_GETFAMILY, attribute(unix.CTRL_ATTR_FAMILY_NAME, append([]byte(nbdFamily), 0)))
	if err != nil {
		return fmt.Errorf("the kernel's family %s: %w", nbdFamily, err)
	}
	family, found := findAttribute(answer, unix.CTRL_ATTR_FAMILY_ID)
	if !found || len(family) < 2 {
		return fmt.Errorf("the kernel's family %s has no number", nbdFamily)
	}
	number := binary.NativeEndian.AppendUint32(nil, index)
	_, err = s.ask(binary.NativeEndian.Uint16(family), nbdCmdDisconnect, attribute(nbdAttrIndex, number))
	return err
}

// generic is a socket of generic netlink, for one question after the other.
type generic struct {
	fd  int
	seq uint32
}

func openGeneric() (*generic, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_GENERIC)
	if err != nil {
		return nil, os.NewSyscallError("netlink socket", err)
	}
	return &generic{fd: fd}, nil
}

const (
	headerSize  = unix.SizeofNlMsghdr
	genericSize = 4
)

// ask sends one request, and gives the attributes of the answer once the kernel has acknowledged it.
func (s *generic) ask(family uint16, command uint8, attributes []byte) ([]byte, error) {
	s.seq++
	msg := binary.NativeEndian.AppendUint32(nil, uint32(headerSize+genericSize+len(attributes)))
	msg = binary.NativeEndian.AppendUint16(msg, family)
	msg = binary.NativeEndian.AppendUint16(msg, unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	msg = binary.NativeEndian.AppendUint32(msg, s.seq)
	msg = binary.NativeEndian.AppendUint32(msg, 0)
	msg = append(msg, command, 1, 0, 0)
	msg = append(msg, attributes...)
	if err := unix.Sendto(s.fd, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, os.NewSyscallError("netlink send", err)
	}
	return s.receive()
}

// maxAnswers bounds the packets that one question is answered with.
const maxAnswers = 16

func (s *generic) receive() (answer []byte, err error) {
	buf := make([]byte, 1<<16)
	for range maxAnswers {
		n, _, err := unix.Recvfrom(s.fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, os.NewSyscallError("netlink receive", err)
		}
		for rest := buf[:n]; len(rest) >= headerSize; {
			size := int(binary.NativeEndian.Uint32(rest))
			if size < headerSize || size > len(rest) {
				return nil, errors.New("netlink: an answer is cut off")
			}
			body := rest[headerSize:size]
			switch kind := binary.NativeEndian.Uint16(rest[4:]); {
			case binary.NativeEndian.Uint32(rest[8:]) != s.seq:
			case kind == unix.NLMSG_ERROR && len(body) >= 4:
				return answer, acknowledged(body)
			case len(body) >= genericSize:
				answer = append(answer, body[genericSize:]...)
			}
			rest = rest[min(aligned(size), len(rest)):]
		}
	}
	return nil, errors.New("netlink: no acknowledgement")
}

func acknowledged(body []byte) error {
	if code := int32(binary.NativeEndian.Uint32(body)); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

func attribute(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, aligned(len(b))-len(b))...)
}

func findAttribute(b []byte, kind uint16) ([]byte, bool) {
	for len(b) >= 4 {
		size := int(binary.NativeEndian.Uint16(b))
		if size < 4 || size > len(b) {
			return nil, false
		}
		if binary.NativeEndian.Uint16(b[2:]) == kind {
			return b[4:size], true
		}
		b = b[min(aligned(size), len(b)):]
	}
	return nil, false
}

func aligned(n int) int { return (n + 3) &^ 3 }
