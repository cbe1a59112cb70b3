package mountcheck

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/mountcheck/probe"
)

// Mount is one line of the mount table.
type Mount struct {
	ID, Parent   int
	Major, Minor int
	Root         string // what of the filesystem is mounted; not "/" for bind mounts
	Point        string
	FSType       string
	Source       string
	Options      string // of this mount
	Super        string // of the filesystem
	Unique       uint64 // the kernel's id that is never reused; 0 where it is not known
	hidden       []string
}

// String is a mount as messages show it.
func (m Mount) String() string {
	if m.Root != "/" && m.Root != "" {
		return fmt.Sprintf("%s (%s, %s[%s])", m.Point, m.FSType, m.Source, m.Root)
	}
	return fmt.Sprintf("%s (%s, %s)", m.Point, m.FSType, m.Source)
}

// NBD tells whether it is on a network block device of the kernel's own driver.
func (m Mount) NBD() bool { return m.Major == nbdMajor }

// nbdMajor is the kernel's number for them (Documentation/admin-guide/devices.txt).
const nbdMajor = 43

func (m Mount) ident() probe.Ident {
	return probe.Ident{ID: uint64(m.ID), Unique: m.Unique, Major: uint32(m.Major), Minor: uint32(m.Minor),
		Subvol: m.FSType == "btrfs" || m.FSType == "bcachefs" || m.FSType == "unknown"}
}

// table is one reading of the mount table, with the mounts sorted by what they are mounted on.
type table struct {
	root Mount
	kids map[int][]Mount
	size int
	far  map[int]string // propagation, as the table has it
	byID map[int]Mount
}

// readTable reads the mount table of this process in one pass.
func readTable() (*table, error) {
	raw, err := readProc("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("cannot read the mount table /proc/self/mountinfo: %w", err)
	}
	infos, err := mountinfo.GetMountsFromReader(bytes.NewReader(raw), nil)
	if err != nil {
		return nil, fmt.Errorf("cannot parse the mount table /proc/self/mountinfo: %w", err)
	}
	return newTable(infos), nil
}

// readProc reads with plain system calls: an os.File would register the descriptor with the runtime's
// poller, for which each change of the mount table is an event of its own.
func readProc(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var out bytes.Buffer
	_, err = io.Copy(&out, rawFile(fd))
	return out.Bytes(), err
}

type rawFile int

func (f rawFile) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(int(f), b)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

func newTable(infos []*mountinfo.Info) *table {
	t := &table{kids: map[int][]Mount{}, size: len(infos), root: rootOf(infos), far: map[int]string{}, byID: map[int]Mount{}}
	for _, i := range infos {
		t.far[i.ID], t.byID[i.ID] = i.Optional, fromInfo(i)
		if i.Parent != i.ID {
			t.kids[i.Parent] = append(t.kids[i.Parent], fromInfo(i))
		}
	}
	return t
}

func fromInfo(i *mountinfo.Info) Mount {
	return Mount{ID: i.ID, Parent: i.Parent, Major: i.Major, Minor: i.Minor, Root: i.Root, Point: i.Mountpoint,
		FSType: i.FSType, Source: i.Source, Options: i.Options, Super: i.VFSOptions}
}

// rootOf is the mount at "/" that stands on none of the table. Where our root is a plain directory of a
// mount that the table does not show (chroot), only that one's id is known.
func rootOf(infos []*mountinfo.Info) Mount {
	ids := map[int]bool{}
	for _, i := range infos {
		ids[i.ID] = true
	}
	hidden := Mount{Point: "/", Root: "/", FSType: "unknown", Source: "unknown"}
	for _, i := range infos {
		top := !ids[i.Parent] || i.Parent == i.ID
		if top && i.Mountpoint == "/" {
			return fromInfo(i)
		}
		if top && hidden.ID == 0 {
			hidden.ID = i.Parent
		}
	}
	return hidden
}

// holder is the mount that a path without symbolic links is on: each step goes from a mount to what is
// mounted on it there, so that mounts hidden by a later one do not count.
func (t *table) holder(path string) Mount {
	cur := t.descend(t.root, "/")
	for i := 1; i < len(path); i++ {
		if next := strings.IndexByte(path[i:], '/'); next >= 0 {
			i += next
		} else {
			i = len(path)
		}
		cur = t.descend(cur, path[:i])
	}
	return cur
}

// descend follows the stack of mounts at one point to its top; the table's size bounds it.
func (t *table) descend(cur Mount, point string) Mount {
	for range t.size {
		next, found := t.over(cur, point)
		if !found {
			return cur
		}
		cur = next
	}
	return cur
}

// over is the last mount on cur at point.
func (t *table) over(cur Mount, point string) (m Mount, found bool) {
	for _, kid := range t.kids[cur.ID] {
		if kid.Point == point && kid.ID != cur.ID {
			m, found = kid, true
		}
	}
	return m, found
}
