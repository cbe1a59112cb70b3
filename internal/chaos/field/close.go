package field

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Close ends all and removes what the field made. The payloads' log is moved to Dir.
func (f *Field) Close() error {
	var errs []error
	if f.own.swamp != nil { // first: who stands in it could not be killed
		errs = append(errs, f.own.swamp.close())
	}
	for _, c := range f.Contenders {
		errs = append(errs, c.close())
	}
	errs = append(errs, f.endStrays())
	for _, s := range f.Servers {
		errs = append(errs, s.Kill())
	}
	if f.desk.listener != nil {
		errs = append(errs, f.desk.listener.Close(), <-f.desk.served)
	}
	if f.Net != nil {
		errs = append(errs, f.Net.Close())
	}
	if f.own.reaper != nil {
		f.own.reaper.close()
	}
	for _, b := range f.own.books {
		errs = append(errs, b.Close())
	}
	if f.own.shared != "" {
		errs = append(errs, keep(f.Trace, filepath.Join(f.Dir, "payload.log")), os.RemoveAll(f.own.shared))
	}
	return errors.Join(append(errs, f.own.freezers.remove(), removeCgroups(f.Contenders))...)
}

// keep copies, for the two may be on different filesystems.
func keep(from, to string) error {
	in, err := os.Open(from)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

const sharedName = "chaos-"

// sweep removes what a harness left that was killed: its directories carry its number.
func sweep(root string) error {
	dirs, err := filepath.Glob(filepath.Join(root, sharedName+"*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		number, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), sharedName), "-")
		pid, err := strconv.Atoi(number)
		if err != nil {
			continue // it is somebody else's
		}
		if _, alive := task(pid); alive {
			continue
		}
		if err := unix.Unmount(filepath.Join(dir, swampName), unix.MNT_DETACH); err != nil && !notMounted(err) {
			return fmt.Errorf("cannot take away what an earlier run left in %s: %w", dir, err)
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return nil
}

func notMounted(err error) bool { return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) }
