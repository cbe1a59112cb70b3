package probe

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Page is memory that a helper and its parent share. The helper stamps in it which stage it comes to next, and puts
// there what it has found before: that wakes nobody, where a packet for each would cost more than the stage, and a
// parent that waits no longer has the answers from before the hang.
type Page struct {
	mu  sync.Mutex // for Close; the helper's end never is
	mem []byte
}

// The page: the stamp, how many bytes of answers are finished, the answers.
const (
	usedAt    = 8
	answersAt = 16
	pageSize  = 128 << 10 // more than a file of MaxRead bytes with all other answers; what is not used is never there
)

// newPage makes the memory, as a file.
func newPage() (*os.File, error) {
	fd, err := unix.MemfdCreate(Name, unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL {
		fd, err = unix.MemfdCreate(Name, unix.MFD_CLOEXEC) // before Linux 6.3
	}
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	file := os.NewFile(uintptr(fd), "probe helper's page")
	if err := unix.Ftruncate(fd, pageSize); err != nil {
		return nil, errors.Join(os.NewSyscallError("ftruncate", err), file.Close())
	}
	return file, nil
}

func mapPage(fd int) (*Page, error) {
	mem, err := unix.Mmap(fd, 0, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return &Page{mem: mem}, os.NewSyscallError("mmap", err)
}

// word is the number of stages so far in its upper bits, and the stage in the lowest eight.
func (p *Page) word() *uint64 { return (*uint64)(unsafe.Pointer(&p.mem[0])) }

func (p *Page) used() *uint64 { return (*uint64)(unsafe.Pointer(&p.mem[usedAt])) }

func (p *Page) stamp(s Stage) {
	w := p.word()
	atomic.StoreUint64(w, (atomic.LoadUint64(w)>>8+1)<<8|uint64(s))
}

// answer adds one to those of the request; false if there is no room for it.
func (p *Page) answer(r Reply) bool {
	at := int(atomic.LoadUint64(p.used()))
	room := p.mem[answersAt+at:]
	if replySize+len(r.Data) > len(room) {
		return false
	}
	at += len(r.append(room[:0]))
	atomic.StoreUint64(p.used(), uint64(at))
	return true
}

// Answers are those to the steps that are done. They are the caller's own.
func (p *Page) Answers() ([]Reply, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mem == nil {
		return nil, nil
	}
	n := atomic.LoadUint64(p.used())
	if n > pageSize-answersAt {
		return nil, ErrPacket
	}
	return decodeReplies(append([]byte(nil), p.mem[answersAt:answersAt+n]...))
}

// Reset is before a request: nobody has taken it yet, and nothing is answered. It returns how many stages there
// were, a number that no other request to this helper has.
func (p *Page) Reset() (count uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mem == nil {
		return 0
	}
	atomic.StoreUint64(p.used(), 0)
	p.stamp(StageSend)
	return atomic.LoadUint64(p.word()) >> 8
}

// Stage is the one that the helper is in, and how many there were.
func (p *Page) Stage() (at Stage, count uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mem == nil {
		return StageSend, 0
	}
	w := atomic.LoadUint64(p.word())
	return Stage(w), w >> 8
}

// Close lets the memory go. It may be called again, and beside the others.
func (p *Page) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mem != nil {
		_ = unix.Munmap(p.mem) // it was mapped, so this cannot fail
		p.mem = nil
	}
}
