package mountcheck

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/mountcheck/probe"
)

// errnoERESTARTSYS leaks out of NFS when a mount is forced off under a caller.
const errnoERESTARTSYS = unix.Errno(512)

// kindOf sorts the errors of a probe. What is not listed says that the filesystem is in trouble.
func kindOf(e unix.Errno) Kind {
	switch e {
	case unix.ESTALE:
		return Stale
	case unix.ENOTCONN, unix.ECONNABORTED, unix.ECONNRESET, unix.ECONNREFUSED, unix.ESHUTDOWN,
		unix.EHOSTDOWN, unix.EHOSTUNREACH, unix.ENETDOWN, unix.ENETUNREACH, unix.EPIPE, errnoERESTARTSYS:
		return Disconnected
	case unix.EACCES, unix.EPERM, unix.ENOKEY, unix.EKEYEXPIRED, unix.EKEYREVOKED, unix.EKEYREJECTED:
		return Denied
	case unix.EROFS:
		return ReadOnly
	case unix.ENOSPC, unix.EDQUOT:
		return Full
	case unix.ENOENT, unix.ENOTDIR, unix.ELOOP:
		return Wrong
	case unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EAGAIN, unix.EINTR:
		return Unknown
	}
	return Erroring
}

// errnoText is the error as people and search engines know it.
func errnoText(e unix.Errno) string {
	if name := unix.ErrnoName(e); name != "" {
		return fmt.Sprintf("%s (%s)", e.Error(), name)
	}
	return fmt.Sprintf("error number %d", int(e))
}

// answerKind sorts an answer that is neither OK nor about another mount.
func answerKind(r probe.Reply) Kind {
	switch r.Status {
	case probe.StatusErrno:
		return kindOf(unix.Errno(r.Errno))
	case probe.StatusDiffer:
		return Erroring
	}
	return Wrong
}

// answerText says what the answer was, with the stage it came from.
func answerText(r probe.Reply) string {
	switch r.Status {
	case probe.StatusErrno:
		return fmt.Sprintf("%s: %s", r.Stage, errnoText(unix.Errno(r.Errno)))
	case probe.StatusType:
		return fmt.Sprintf("%s: not a regular file", r.Stage)
	case probe.StatusDiffer:
		return fmt.Sprintf("%s: the bytes read back are not those written", r.Stage)
	case probe.StatusTooBig:
		return fmt.Sprintf("%s: the file is larger than allowed", r.Stage)
	case probe.StatusOther:
		return fmt.Sprintf("%s: the path leads out of the mount", r.Stage)
	}
	return fmt.Sprintf("%s: unexpected answer %d", r.Stage, r.Status)
}
