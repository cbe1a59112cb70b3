package field

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// A swamp is an empty FUSE filesystem that takes requests and does not answer them, on demand. Who asks it
// then stands in uninterruptible sleep: SIGKILL is not heard before the answer.
type swamp struct {
	dir  string
	dev  *os.File
	join sync.WaitGroup

	mu   sync.Mutex
	hang bool
	held [][]byte
}

const swampName = "swamp"

// The operations of the FUSE protocol that are answered.
const (
	fuseForget  = 2
	fuseGetattr = 3
	fuseInit    = 26
	fuseBatch   = 42
	fuseHeader  = 40
)

// openSwamp mounts one; nil without an error says that this machine has no FUSE.
func openSwamp(dir string) (*swamp, error) {
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.ENODEV) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	opts := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd)
	if err := unix.Mount("swamp", dir, "fuse", unix.MS_NODEV|unix.MS_NOSUID, opts); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot mount a FUSE filesystem: %w", err), unix.Close(fd))
	}
	s := &swamp{dir: dir, dev: os.NewFile(uintptr(fd), "/dev/fuse")}
	s.join.Go(s.serve)
	return s, nil
}

// close answers all, ends the connection and takes the mount away.
func (s *swamp) close() error {
	s.set(false)
	err := unix.Unmount(s.dir, unix.MNT_DETACH)
	err = errors.Join(err, s.dev.Close())
	s.join.Wait()
	return err
}

// set makes it hang, or answer again, also what was held.
func (s *swamp) set(hang bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hang = hang
	if hang {
		return
	}
	for _, r := range s.held {
		s.answer(r)
	}
	s.held = nil
}

func (s *swamp) serve() {
	buf := make([]byte, 1<<20)
	for {
		n, err := s.dev.Read(buf)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENOENT) {
			continue // a request that was taken back
		}
		if err != nil {
			return
		}
		if n >= fuseHeader {
			s.take(append([]byte(nil), buf[:n]...))
		}
	}
}

func (s *swamp) take(r []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hang && binary.LittleEndian.Uint32(r[4:]) != fuseInit {
		s.held = append(s.held, r)
		return
	}
	s.answer(r)
}

func (s *swamp) answer(r []byte) {
	op, unique := binary.LittleEndian.Uint32(r[4:]), binary.LittleEndian.Uint64(r[8:])
	switch op {
	case fuseForget, fuseBatch:
	case fuseInit:
		b := make([]byte, 64)
		binary.LittleEndian.PutUint32(b[0:], 7)
		binary.LittleEndian.PutUint32(b[4:], 31)
		binary.LittleEndian.PutUint32(b[20:], 4096)
		s.reply(unique, 0, b)
	case fuseGetattr:
		b := make([]byte, 104) // valid for no time at all: each look asks anew
		binary.LittleEndian.PutUint64(b[16:], 1)
		binary.LittleEndian.PutUint32(b[76:], unix.S_IFDIR|0o755)
		binary.LittleEndian.PutUint32(b[80:], 2)
		s.reply(unique, 0, b)
	default:
		s.reply(unique, unix.ENOENT, nil)
	}
}

// reply: an error says that the caller is gone, or the mount.
func (s *swamp) reply(unique uint64, e unix.Errno, body []byte) {
	out := binary.LittleEndian.AppendUint32(nil, uint32(16+len(body)))
	out = binary.LittleEndian.AppendUint32(out, uint32(-int32(e)))
	out = binary.LittleEndian.AppendUint64(out, unique)
	_, _ = s.dev.Write(append(out, body...))
}

// HasSwamp tells whether Stick works here.
func (f *Field) HasSwamp() bool { return f.own.swamp != nil }

// Stick makes a payload that gets SIGUSR1 stand still in the kernel until release.
func (f *Field) Stick() (release func()) {
	f.own.swamp.set(true)
	return func() { f.own.swamp.set(false) }
}

func (f *Field) swampDir() string { return filepath.Join(f.own.shared, swampName) }

// Stuck tells whether somebody stands there. It is an ordinary sleep until a signal that kills comes; then
// the thread waits on, uninterruptibly.
func (f *Field) Stuck() bool {
	f.own.swamp.mu.Lock()
	defer f.own.swamp.mu.Unlock()
	return len(f.own.swamp.held) > 0
}
