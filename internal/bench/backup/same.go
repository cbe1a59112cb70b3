package backup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Loses is what a program does not restore by its nature.
type Loses struct {
	Links bool // hard links become files of their own
	Modes bool // permissions
	Empty bool // folders without files
}

// Same compares names, kinds, modes, targets and content of two trees, and tells the first difference. The
// mode of the root itself is not compared.
func Same(want, got string, l Loses) error {
	c := comparer{want: want, got: got, loses: l, left: make([]byte, 256<<10), right: make([]byte, 256<<10)}
	n, err := entries(want, c.entry)
	if err != nil {
		return err
	}
	m, err := entries(got, func(string, fs.FileInfo) error { return nil })
	if n -= c.missing; err == nil && m != n {
		return fmt.Errorf("%d entries, expected %d", m, n)
	}
	return err
}

// A comparer is one comparison.
type comparer struct {
	want, got   string
	loses       Loses
	left, right []byte
	missing     int // folders that were empty
}

func entries(root string, each func(string, fs.FileInfo) error) (n int, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if n++; err != nil || rel == "." {
			return err
		}
		return each(rel, info)
	})
	return n, err
}

func (c *comparer) entry(path string, a fs.FileInfo) error {
	want, got := filepath.Join(c.want, path), filepath.Join(c.got, path)
	b, err := os.Lstat(got)
	if c.loses.Empty && a.IsDir() && errors.Is(err, fs.ErrNotExist) {
		c.missing++
		return nil
	}
	if err != nil {
		return err
	}
	switch {
	case a.Mode().Type() != b.Mode().Type():
		return fmt.Errorf("%s: %v, expected %v", path, b.Mode(), a.Mode())
	case a.Mode()&fs.ModeSymlink != 0:
		return sameTarget(want, got)
	case !c.loses.Modes && a.Mode() != b.Mode():
		return fmt.Errorf("%s: mode %v, expected %v", path, b.Mode(), a.Mode())
	case a.IsDir():
		return nil
	case !c.loses.Links && names(a) != names(b):
		return fmt.Errorf("%s: %d names, expected %d", path, names(b), names(a))
	case a.Size() != b.Size():
		return fmt.Errorf("%s: %d bytes, expected %d", path, b.Size(), a.Size())
	}
	return c.content(want, got)
}

func names(info fs.FileInfo) uint64 {
	if stat, is := info.Sys().(*syscall.Stat_t); is {
		return uint64(stat.Nlink)
	}
	return 0
}

func sameTarget(want, got string) error {
	a, err := os.Readlink(want)
	b, err2 := os.Readlink(got)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	if a != b {
		return fmt.Errorf("%s leads to %s, expected %s", got, b, a)
	}
	return nil
}

func (c *comparer) content(want, got string) (err error) {
	a, err := os.Open(want)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	b, err := os.Open(got)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	for at := 0; ; {
		n, err := io.ReadFull(a, c.left)
		m, err2 := io.ReadFull(b, c.right)
		if !bytes.Equal(c.left[:n], c.right[:m]) {
			return fmt.Errorf("%s differs between bytes %d and %d", got, at, at+max(n, m))
		}
		if at += n; errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err := errors.Join(err, err2); err != nil {
			return err
		}
	}
}
