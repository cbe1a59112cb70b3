package mountcheck

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/mountcheck/probe"
)

// maxLinks is the kernel's own bound.
const maxLinks = 40

// Trace tells which mount holds a path, by the text of the mount table. Symbolic links are followed only
// on the root filesystem and on those that live in memory: below any other mount the path is taken as it
// is written, because a readlink there may hang. The path need not exist.
func Trace(path string) (Mount, error) {
	tb, err := readTable()
	if err != nil {
		return Mount{}, err
	}
	real, _, err := tb.resolve(path)
	if err != nil {
		return Mount{}, err
	}
	return tb.withUnique(tb.holder(real)), nil
}

// resolve follows links; complete is false when it had to stop at a mount that must not be touched.
func (t *table) resolve(path string) (real string, complete bool, err error) {
	if !filepath.IsAbs(path) {
		return "", false, fmt.Errorf("cannot trace %q to a mount: the path is relative", path)
	}
	cur, rest := "", parts(path)
	for links := 0; len(rest) > 0; {
		next := filepath.Clean("/" + cur + "/" + rest[0])
		rest = rest[1:]
		if on := t.holder(next); on.Point == next || next == "/" {
			cur = next
			continue
		} else if !touchable(on) {
			return filepath.Join(append([]string{next}, rest...)...), false, nil
		}
		link, err := os.Readlink(next)
		switch {
		case err == nil:
			if links++; links > maxLinks {
				return "", false, fmt.Errorf("cannot trace %q to a mount: more than %d symbolic links", path, maxLinks)
			}
			if filepath.IsAbs(link) {
				cur = ""
			}
			rest = append(parts(link), rest...)
		case errors.Is(err, unix.EINVAL):
			cur = next // a directory or a file
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
			return filepath.Join(append([]string{next}, rest...)...), true, nil
		default:
			return "", false, fmt.Errorf("cannot trace %q to a mount: %w", path, err)
		}
	}
	return filepath.Clean("/" + cur), true, nil
}

func parts(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// under tells whether path is point or lies below it, by text.
func under(point, path string) bool {
	return point == "/" || path == point || strings.HasPrefix(path, point+"/")
}

// relative is the rest of path below point.
func relative(point, path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, point), "/")
}

// touchable is true for filesystems that cannot hang without this process hanging anyway: the root
// filesystem, and those in memory.
func touchable(m Mount) bool {
	switch m.FSType {
	case "tmpfs", "ramfs", "devtmpfs", "proc", "sysfs", "cgroup", "cgroup2":
		return true
	}
	return m.Point == "/"
}

// quiet tells whether a mountpoint itself can be opened (O_PATH) without a filesystem being asked that
// could hang: all mounts that the path crosses on its way must be touchable.
func (t *table) quiet(m Mount) bool {
	dir := filepath.Dir(m.Point)
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if !touchable(t.holder(dir)) {
			return false
		}
	}
	return true
}

// withUnique adds the kernel's unique id where that is safe to ask for. An id of another mount than the
// table's means that the table has changed since: it is left unknown then.
func (t *table) withUnique(m Mount) Mount {
	if !t.quiet(m) {
		return m
	}
	fd, err := unix.Open(m.Point, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return m
	}
	defer unix.Close(fd)
	if id, err := probe.Identify(fd); err == nil && id.ID == uint64(m.ID) {
		m.Unique = id.Unique
	}
	return m
}
