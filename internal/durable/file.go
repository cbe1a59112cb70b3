package durable

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/interlock-run/interlock/internal/breakpoint"
	"golang.org/x/sys/unix"
)

// Read returns the content of a file in the directory. ErrAbsent only for a real ENOENT; ErrOdd for
// anything but a regular file of at most MaxSize bytes.
func (d *Dir) Read(name string) ([]byte, error) {
	path := filepath.Join(d.path, name)
	fd, err := openat(int(d.f.Fd()), name, unix.O_RDONLY|unix.O_NOFOLLOW, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, fmt.Errorf("file %q: %w", path, ErrAbsent)
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENXIO):
		return nil, fmt.Errorf("%q: %w: expected a regular file", path, ErrOdd)
	case err != nil:
		return nil, failed("open", path, err)
	}
	f := os.NewFile(uintptr(fd), path)
	data, err := readSmall(f, path)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return data, nil
}

func readSmall(f *os.File, path string) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, failed("stat", path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q: %w: expected a regular file", path, ErrOdd)
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, failed("read", path, err)
	}
	if len(data) > MaxSize {
		return nil, fmt.Errorf("%q: %w: expected at most %d bytes", path, ErrOdd, MaxSize)
	}
	return data, nil
}

// Replace puts data in the place of a file by temp, fsync, rename, fsync of the directory. On error the
// old file is there as it was, or, after the rename, the new one. The caller holds Lock.
func (d *Dir) Replace(name string, data []byte) error {
	path := filepath.Join(d.path, name)
	if len(data) > MaxSize {
		return fmt.Errorf("write %q: %d bytes: expected at most %d", path, len(data), MaxSize)
	}
	if err := d.removeLeftovers(name); err != nil {
		return err
	}
	// A name of its own: what another host may be writing at this moment is never what we rename.
	temp := tempPrefix(name) + strconv.Itoa(os.Getpid()) + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	err := d.writeTemp(temp, name, data)
	if err == nil {
		point(name, "rename")
		err = Retry(func() error { return unix.Renameat(int(d.f.Fd()), temp, int(d.f.Fd()), name) })
	}
	if err != nil {
		return errors.Join(failed("write", path, err), d.remove(temp))
	}
	point(name, "renamed")
	if err := Retry(d.f.Sync); err != nil {
		return failed("fsync directory", d.path, err)
	}
	point(name, "done")
	return nil
}

func (d *Dir) writeTemp(temp, name string, data []byte) error {
	fd, err := openat(int(d.f.Fd()), temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), temp)
	point(name, "create")
	_, err = f.Write(data)
	point(name, "written")
	if err == nil {
		err = Retry(f.Sync)
	}
	return errors.Join(err, f.Close())
}

// removeLeftovers removes temporary files of writers that were killed.
func (d *Dir) removeLeftovers(name string) error {
	if _, err := d.f.Seek(0, io.SeekStart); err != nil {
		return failed("list", d.path, err)
	}
	names, err := d.f.Readdirnames(-1)
	if err != nil {
		return failed("list", d.path, err)
	}
	for _, n := range names {
		if !strings.HasPrefix(n, tempPrefix(name)) {
			continue
		}
		if err := d.remove(n); err != nil {
			return err
		}
	}
	return nil
}

func (d *Dir) remove(name string) error {
	err := Retry(func() error { return unix.Unlinkat(int(d.f.Fd()), name, 0) })
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return failed("remove", filepath.Join(d.path, name), err)
	}
	return nil
}

func tempPrefix(name string) string { return name + ".tmp-" }

// point is a break point such as claim:rename.
func point(name, step string) {
	if breakpoint.On {
		breakpoint.At(strings.TrimSuffix(name, filepath.Ext(name)) + ":" + step)
	}
}
