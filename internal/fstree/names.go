package fstree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"github.com/interlock-run/interlock/internal/durable"
	"golang.org/x/sys/unix"
)

// names are those of one directory, in byte order. A million of them is the reason for their form: one
// piece of memory and four bytes each, instead of a million strings.
type names struct {
	text []byte   // each: its length, then itself
	at   []uint32 // where they begin, in order
	next int
}

var errHuge = errors.New("more names than can be held: expected at most 4 GiB of them in one directory")

// list reads a directory as a whole. buf is where the kernel puts what it tells.
func list(fd int, buf []byte) (names, error) {
	var l names
	if _, err := unix.Seek(fd, 0, unix.SEEK_SET); err != nil {
		return l, err
	}
	for {
		n := 0
		err := durable.Retry(func() (err error) {
			n, err = unix.ReadDirent(fd, buf)
			return err
		})
		if err != nil || n <= 0 {
			l.sort()
			return l, err
		}
		if err := l.parse(buf[:n]); err != nil {
			return l, err
		}
	}
}

// parse takes the names out of struct linux_dirent64: inode, offset, length of the record, type, name.
func (l *names) parse(buf []byte) error {
	const header = 8 + 8 + 2 + 1
	for len(buf) > header {
		size := int(binary.NativeEndian.Uint16(buf[16:]))
		if size <= header || size > len(buf) {
			return unix.EIO
		}
		name, _, _ := bytes.Cut(buf[header:size], []byte{0})
		buf = buf[size:]
		if s := string(name); s == "." || s == ".." {
			continue
		}
		if len(name) == 0 || len(name) > MaxName || bytes.IndexByte(name, '/') >= 0 {
			return unix.EIO // a damaged filesystem
		}
		if len(l.text) > math.MaxUint32-MaxName-1 {
			return errHuge
		}
		l.at = append(l.at, uint32(len(l.text)))
		l.text = append(append(l.text, byte(len(name))), name...)
	}
	return nil
}

func (l *names) get(at uint32) []byte {
	return l.text[at+1 : at+1+uint32(l.text[at])]
}

// sort also removes what a directory that changes has told twice.
func (l *names) sort() {
	slices.SortFunc(l.at, func(a, b uint32) int { return bytes.Compare(l.get(a), l.get(b)) })
	l.at = slices.CompactFunc(l.at, func(a, b uint32) bool { return bytes.Equal(l.get(a), l.get(b)) })
}

// take is the next name.
func (l *names) take() (string, bool) {
	if l.next == len(l.at) {
		return "", false
	}
	l.next++
	return string(l.get(l.at[l.next-1])), true
}
