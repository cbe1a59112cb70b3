package fstree

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A gardener makes random trees of all that can lie in one.
type gardener struct {
	t     *testing.T
	r     *rand.Rand
	root  bool
	xattr bool // the filesystem has attributes of users
	files []string
	other []string // what else may get a second name
}

// grow fills a directory.
func grow(t *testing.T, seed uint64, dir string) {
	g := &gardener{t: t, r: rand.New(rand.NewPCG(seed, 7)), root: os.Geteuid() == 0}
	g.xattr = unix.Setxattr(dir, "user.probe", []byte("x"), 0) == nil
	g.dir(dir, 0)
	g.meta(dir, Dir)
}

func (g *gardener) dir(dir string, depth int) {
	for i := range 3 + g.r.IntN(12) {
		name := filepath.Join(dir, g.name(i))
		switch k := g.r.IntN(16); {
		case k == 0:
			must(g.t, os.Symlink([]string{"../../../etc/passwd", "x", "/", strings.Repeat("t", 1000), "\xff\n"}[g.r.IntN(5)], name))
			g.other = append(g.other, name)
			g.meta(name, Symlink)
		case k == 1:
			must(g.t, unix.Mkfifo(name, 0o600))
			g.other = append(g.other, name)
			g.meta(name, FIFO)
		case k == 2 && g.root:
			kind := []Kind{CharDevice, BlockDevice}[g.r.IntN(2)]
			must(g.t, unix.Mknod(name, kind.format()|0o600, int(unix.Mkdev(uint32(g.r.IntN(300)), uint32(g.r.IntN(70000))))))
			g.meta(name, kind)
		case k == 3 && len(name) < 100:
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
			must(g.t, err)
			l.SetUnlinkOnClose(false)
			must(g.t, l.Close())
		case k <= 5 && len(g.files) > 0:
			must(g.t, os.Link(g.files[g.r.IntN(len(g.files))], name))
		case k == 6 && len(g.other) > 0:
			must(g.t, os.Link(g.other[g.r.IntN(len(g.other))], name))
		case k <= 9 && depth < 4:
			must(g.t, os.Mkdir(name, 0o700))
			g.dir(name, depth+1)
			g.meta(name, Dir)
		default:
			g.file(name)
			g.files = append(g.files, name)
			g.meta(name, File)
		}
	}
}

func (g *gardener) name(i int) string {
	odd := []string{"plain", "new\nline", "-rf", "sp ace", "\xff\xfe", "..x", "lost+found", "a", "a-", "a!", strings.Repeat("l", 200), "*", "\x01"}
	return odd[g.r.IntN(len(odd))] + fmt.Sprint(i)
}

func (g *gardener) file(name string) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	must(g.t, err)
	switch g.r.IntN(7) {
	case 0:
	case 1:
		must(g.t, f.Truncate(int64(g.r.IntN(3<<20)))) // nothing but a hole
	case 2, 3:
		for range 1 + g.r.IntN(4) {
			g.put(f, int64(g.r.IntN(2<<20)), 1+g.r.IntN(40000))
		}
		if g.r.IntN(2) == 0 {
			must(g.t, f.Truncate(4<<20))
		}
	case 4:
		if g.r.IntN(4) > 0 {
			break
		}
		g.put(f, 0, big+g.r.IntN(big))
	default:
		g.put(f, 0, 1+g.r.IntN(20000))
	}
	must(g.t, f.Close())
}

func (g *gardener) put(f *os.File, off int64, n int) {
	p := make([]byte, n)
	_, err := rand.NewChaCha8([32]byte{byte(g.r.Uint32()), byte(n)}).Read(p)
	must(g.t, err)
	_, err = f.WriteAt(p, off)
	must(g.t, err)
}

// meta sets everything that can be set.
func (g *gardener) meta(name string, k Kind) {
	if g.root && g.r.IntN(2) == 0 {
		must(g.t, os.Lchown(name, g.r.IntN(1<<31), g.r.IntN(1<<31)))
	}
	if g.xattr && (k == File || k == Dir) && g.r.IntN(3) == 0 {
		must(g.t, unix.Setxattr(name, "user.\xffodd", make([]byte, g.r.IntN(500)), 0))
		must(g.t, unix.Setxattr(name, aclAccess, acl(g.r), 0))
		if k == Dir {
			must(g.t, unix.Setxattr(name, aclDefault, acl(g.r), 0))
		}
	}
	if g.root && g.xattr && g.r.IntN(4) == 0 {
		must(g.t, unix.Lsetxattr(name, "trusted.t", []byte("\x00v"), 0))
	}
	if g.root && g.xattr && k == File && g.r.IntN(4) == 0 {
		must(g.t, unix.Setxattr(name, "security.capability", []byte("\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), 0))
	}
	if k != Symlink {
		mode := uint32(g.r.IntN(0o10000))
		if !g.root {
			mode |= 0o500 // what its owner cannot read is no part of a backup by him
		}
		must(g.t, unix.Chmod(name, mode))
	}
	at := time.Unix(g.r.Int64N(1<<32)-1<<30, g.r.Int64N(1e9))
	ts := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, unix.NsecToTimespec(at.UnixNano())}
	must(g.t, unix.UtimesNanoAt(unix.AT_FDCWD, name, ts, unix.AT_SYMLINK_NOFOLLOW))
}

// acl is a valid ACL with a named user.
func acl(r *rand.Rand) []byte {
	out := binary.LittleEndian.AppendUint32(nil, 2)
	for _, tag := range []uint16{1, 2, 4, 0x10, 0x20} {
		id := ^uint32(0)
		if tag == 2 {
			id = r.Uint32N(1 << 20)
		}
		out = binary.LittleEndian.AppendUint16(out, tag)
		out = binary.LittleEndian.AppendUint16(out, uint16(4|r.IntN(8)))
		out = binary.LittleEndian.AppendUint32(out, id)
	}
	return out
}
