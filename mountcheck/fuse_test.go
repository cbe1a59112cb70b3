package mountcheck

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// faultyFS is an empty FUSE filesystem that answers, fails, or takes requests and never answers, on
// command: the faults that no other filesystem here can be told to have.
type faultyFS struct {
	dir  string
	dev  *os.File
	mode atomic.Int64 // modeOK, modeHang, or the errno that everything gets
	left atomic.Int64 // free blocks of the directory "db", if not 0: it has a quota
	slow atomic.Int64 // nanoseconds that each answer takes
	held struct {
		sync.Mutex
		requests [][]byte
	}
	served sync.WaitGroup
}

const (
	modeOK   = 0
	modeHang = -1
)

// The operations of the FUSE protocol that are answered.
const (
	fuseLookup  = 1
	fuseForget  = 2
	fuseGetattr = 3
	fuseStatfs  = 17
	fuseInit    = 26
	fuseBatch   = 42
	fuseHeader  = 40
	fuseRootIno = 1
)

func newFaultyFS(t testing.TB) *faultyFS {
	t.Helper()
	f := newSilentFS(t)
	f.served.Go(f.serve)
	return f
}

// newSilentFS takes no request at all: whoever asks it hangs, but can be killed.
func newSilentFS(t testing.TB) *faultyFS {
	t.Helper()
	needMounts(t)
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skipf("no /dev/fuse here: %v", err)
	}
	f := &faultyFS{dir: directory(t, "fuse")}
	mount(t, "faulty", f.dir, "fuse", unix.MS_NODEV|unix.MS_NOSUID, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd))
	// Only now: before the mount there is nothing that the runtime's poller could wait for.
	f.dev = os.NewFile(uintptr(fd), "/dev/fuse")
	t.Cleanup(f.die)
	return f
}

// die is the daemon's death: the connection is gone, the mount stays. Idempotent.
func (f *faultyFS) die() {
	_ = f.dev.Close()
	f.served.Wait()
}

// set changes the mode; requests that were held are answered unless it is to hang on.
func (f *faultyFS) set(mode int64) {
	f.held.Lock()
	defer f.held.Unlock()
	f.mode.Store(mode)
	if mode == modeHang {
		return
	}
	for _, r := range f.held.requests {
		f.answer(r)
	}
	f.held.requests = nil
}

func (f *faultyFS) serve() {
	buf := make([]byte, 1<<20)
	for {
		n, err := f.dev.Read(buf)
		if err != nil {
			if e, ok := err.(*os.PathError); ok && (e.Err == unix.EINTR || e.Err == unix.ENOENT) {
				continue
			}
			return
		}
		if n < fuseHeader {
			continue
		}
		f.take(append([]byte(nil), buf[:n]...))
	}
}

func (f *faultyFS) take(r []byte) {
	if d := time.Duration(f.slow.Load()); d > 0 {
		<-time.After(d)
	}
	f.held.Lock()
	defer f.held.Unlock()
	if f.mode.Load() == modeHang && binary.LittleEndian.Uint32(r[4:]) != fuseInit {
		f.held.requests = append(f.held.requests, r)
		return
	}
	f.answer(r)
}

func (f *faultyFS) answer(r []byte) {
	op, unique := binary.LittleEndian.Uint32(r[4:]), binary.LittleEndian.Uint64(r[8:])
	mode := f.mode.Load()
	switch {
	case op == fuseForget || op == fuseBatch:
	case op == fuseInit:
		f.reply(unique, 0, initOut())
	case mode > 0:
		f.reply(unique, unix.Errno(mode), nil)
	case op == fuseGetattr:
		f.reply(unique, 0, attrOut(binary.LittleEndian.Uint64(r[16:])))
	case op == fuseStatfs:
		f.reply(unique, 0, statfsOut(f.free(binary.LittleEndian.Uint64(r[16:]))))
	case op == fuseLookup && string(r[fuseHeader:]) == "db\x00" && f.left.Load() != 0:
		f.reply(unique, 0, entryOut())
	case op == fuseLookup:
		f.reply(unique, unix.ENOENT, nil)
	default:
		f.reply(unique, unix.ENOSYS, nil)
	}
}

func (f *faultyFS) reply(unique uint64, e unix.Errno, body []byte) {
	out := binary.LittleEndian.AppendUint32(nil, uint32(16+len(body)))
	out = binary.LittleEndian.AppendUint32(out, uint32(-int32(e)))
	out = binary.LittleEndian.AppendUint64(out, unique)
	// ENOENT: the caller was killed meanwhile.
	_, _ = f.dev.Write(append(out, body...))
}

func initOut() []byte {
	b := make([]byte, 64)
	binary.LittleEndian.PutUint32(b[0:], 7)
	binary.LittleEndian.PutUint32(b[4:], 31)
	binary.LittleEndian.PutUint32(b[20:], 4096)
	return b
}

// fuseDataIno is the directory "db".
const fuseDataIno = 2

func (f *faultyFS) free(ino uint64) int64 {
	if ino == fuseDataIno {
		return f.left.Load()
	}
	return 1000
}

func entryOut() []byte {
	b := make([]byte, 40, 128)
	binary.LittleEndian.PutUint64(b, fuseDataIno)
	return append(b, attrOut(fuseDataIno)[16:]...)
}

func attrOut(ino uint64) []byte {
	b := make([]byte, 104)
	binary.LittleEndian.PutUint64(b[16:], ino)
	binary.LittleEndian.PutUint32(b[76:], unix.S_IFDIR|0o755)
	binary.LittleEndian.PutUint32(b[80:], 2)
	return b
}

func statfsOut(free int64) []byte {
	b := make([]byte, 80)
	for i := 0; i < 5; i++ {
		binary.LittleEndian.PutUint64(b[8*i:], 1000)
	}
	binary.LittleEndian.PutUint64(b[16:], uint64(free))
	binary.LittleEndian.PutUint32(b[40:], 4096)
	binary.LittleEndian.PutUint32(b[44:], 255)
	binary.LittleEndian.PutUint32(b[48:], 4096)
	return b
}
