package probe

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Page is memory that a helper and its parent share. The helper stamps in it which step it takes next: that wakes
// nobody, where a packet for each step would cost more than the step.
type Page struct {
	mu  sync.Mutex // for Close; the helper's end never is
	mem []byte
}

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
	if err := unix.Ftruncate(fd, int64(os.Getpagesize())); err != nil {
		return nil, errors.Join(os.NewSyscallError("ftruncate", err), file.Close())
	}
	return file, nil
}

func mapPage(fd int) (*Page, error) {
	mem, err := unix.Mmap(fd, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return &Page{mem: mem}, os.NewSyscallError("mmap", err)
}

// word is the number of steps so far in its upper bits, and the step in the lowest eight.
func (p *Page) word() *uint64 { return (*uint64)(unsafe.Pointer(&p.mem[0])) }

func (p *Page) stamp(s Stage) {
	w := p.word()
	atomic.StoreUint64(w, (atomic.LoadUint64(w)>>8+1)<<8|uint64(s))
}

// Reset is before a request: nobody has taken it yet. It returns how many steps there were.
func (p *Page) Reset() (count uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mem == nil {
		return 0
	}
	p.stamp(StageSend)
	return atomic.LoadUint64(p.word()) >> 8
}

// Step is the one that the helper is in, and how many there were.
func (p *Page) Step() (at Stage, count uint64) {
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
