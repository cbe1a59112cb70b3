package file

import (
	"context"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/lock"
)

// Every path that can never be a lock is refused at Open, in one line with the way out, and nothing is
// created.
func TestUnusablePaths(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	must(t, os.WriteFile(plain, nil, 0o600))
	must(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	must(t, os.Symlink("loop", filepath.Join(dir, "loop")))
	for name, path := range map[string]string{
		"directory": dir, "missing parent": filepath.Join(dir, "no/lock"), "file as parent": filepath.Join(plain, "lock"),
		"fifo": filepath.Join(dir, "fifo"), "device": "/dev/null", "circle": filepath.Join(dir, "loop"),
		"long name": filepath.Join(dir, strings.Repeat("x", 300)),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(context.Background(), fileURL(path), testSettings("a"))
			oneLine(t, err, path)
		})
	}
	left, err := os.ReadDir(dir)
	must(t, err)
	if len(left) != 3 {
		t.Fatalf("the directory has %v, expected the three files of the test", left)
	}
}

func TestReadOnly(t *testing.T) {
	if !ownMounts(t) {
		return
	}
	dir := t.TempDir()
	if err := unix.Mount("test", dir, "tmpfs", unix.MS_RDONLY, ""); err != nil {
		testkit.Skip(t, "mount", err.Error())
	}
	defer func() { testkit.Unmount(t, dir) }()
	path := filepath.Join(dir, "lock")
	_, err := Open(context.Background(), fileURL(path), testSettings("a"))
	oneLine(t, err, path)
}

func oneLine(t *testing.T, err error, path string) {
	t.Helper()
	if !errors.Is(err, lock.ErrConfig) {
		t.Fatalf("got %v, expected ErrConfig", err)
	}
	if text := err.Error(); !strings.HasPrefix(text, "lock file "+path+": ") || strings.Contains(text, "\n") {
		t.Fatalf("message %q: expected one line that begins with the path", text)
	}
}

func TestBadURLs(t *testing.T) {
	for _, text := range []string{"file://host/lock", "file:lock", "file:///", "file:///dir/", "file:///lock?x=1", "file:///lock#x", "file://me@/lock", "zk:///lock", "file:///a%00b"} {
		u, err := url.Parse(text)
		must(t, err)
		if _, err := Open(context.Background(), u, testSettings("a")); !errors.Is(err, lock.ErrConfig) {
			t.Errorf("%s: got %v, expected ErrConfig", text, err)
		}
	}
}

// A user who may not write gets told so, for the directory and for the file, and "may not look" is not
// taken for "not there".
func TestUnwritable(t *testing.T) {
	if os.Geteuid() != 0 {
		testkit.Skip(t, "root", "only root can become another user")
	}
	top, err := os.MkdirTemp("/tmp", "lock-file-test")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(top)) })
	must(t, os.Chmod(top, 0o755))
	hidden := filepath.Join(top, "hidden")
	must(t, os.Mkdir(hidden, 0o700))
	must(t, os.WriteFile(filepath.Join(hidden, "lock"), newFile(t), 0o666))
	must(t, os.WriteFile(filepath.Join(top, "foreign"), newFile(t), 0o644))
	for _, path := range []string{filepath.Join(top, "new"), filepath.Join(hidden, "lock"), filepath.Join(top, "foreign")} {
		p := start(t, "open", asNobody, path)
		if said := p.says("result"); !strings.Contains(said, lock.ErrConfig.Error()) || !strings.Contains(said, "permission denied") {
			t.Errorf("%s: %q, expected a refusal that names the permission", path, said)
		}
	}
}

func asNobody(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
}

// A filesystem that other hosts may see is refused before anything on it is touched: a real FUSE mount
// whose daemon never answers.
func TestRefusesFUSE(t *testing.T) {
	if !ownMounts(t) {
		return
	}
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		testkit.Skip(t, "fuse", err.Error())
	}
	defer func() { must(t, unix.Close(fd)) }()
	dir := t.TempDir()
	err = unix.Mount("test", dir, "fuse", 0, "fd="+itoa(fd)+",rootmode=40000,user_id=12345,group_id=12345")
	if err != nil {
		testkit.Skip(t, "mount", err.Error())
	}
	defer func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) }()
	path := filepath.Join(dir, "lock")
	_, err = Open(context.Background(), fileURL(path), testSettings("a"))
	oneLine(t, err, path)
	if !strings.Contains(err.Error(), "FUSE") || !strings.Contains(err.Error(), "zk://") {
		t.Fatalf("message %q: expected the filesystem and the way out", err)
	}
}

// The other shared filesystems by their numbers; local ones pass.
func TestSharedFilesystems(t *testing.T) {
	for name, magic := range map[string]uint32{
		"NFS": unix.NFS_SUPER_MAGIC, "SMB": unix.SMB_SUPER_MAGIC, "CIFS": unix.CIFS_SUPER_MAGIC, "SMB2": unix.SMB2_SUPER_MAGIC,
		"FUSE or virtiofs": unix.FUSE_SUPER_MAGIC, "9p": unix.V9FS_MAGIC, "Ceph": unix.CEPH_SUPER_MAGIC,
		"OCFS2": unix.OCFS2_SUPER_MAGIC, "AFS": unix.AFS_FS_MAGIC, "Coda": unix.CODA_SUPER_MAGIC,
	} {
		if err := refuseShared("/lock", magic); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, magic := range []uint32{unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC} {
		if err := refuseShared("/lock", magic); err != nil {
			t.Errorf("%#x: %v", magic, err)
		}
	}
}
