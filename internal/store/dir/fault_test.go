package dir

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/store"
	"github.com/interlock-run/interlock/internal/testkit"
)

func wants(t *testing.T, err, want error, what string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s gave %v, expected %q", what, err, want)
	}
}

// TestNoPlace: a directory that is not there is never made, and never taken for an empty repository.
func TestNoPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mnt", "repo")
	_, err := Open(path)
	wants(t, err, store.ErrNoPlace, "open of an absent directory")
	if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("open made something: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Open(file)
	wants(t, err, store.ErrNoPlace, "open of a file")
	_, err = Open("relative")
	wants(t, err, store.ErrUse, "open of a relative path")
}

// TestRemovedWhileOpen: what was there at the start and went is missing, not empty.
func TestRemovedWhileOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "repo")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	d := open(t, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	_, err := d.Get(t.Context(), "interlock.json", 0, -1)
	wants(t, err, store.ErrNoPlace, "get")
	wants(t, d.Create(t.Context(), "interlock.json", []byte("x")), store.ErrNoPlace, "create")
	wants(t, d.Delete(t.Context(), "interlock.json"), store.ErrNoPlace, "delete")
	_, err = d.Sweep(t.Context())
	wants(t, err, store.ErrNoPlace, "sweep")
	for _, err := range d.List(t.Context(), "", "") {
		wants(t, err, store.ErrNoPlace, "list")
		return
	}
	t.Fatal("list of a removed directory gave nothing, as for an empty one")
}

// TestLinksOut: symbolic links in the repository lead nowhere outside, for reading, writing and removing.
func TestLinksOut(t *testing.T) {
	outside, path := t.TempDir(), t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"catalog": outside, "file": secret, "up": "..", tempDir: outside} {
		if err := os.Symlink(target, filepath.Join(path, name)); err != nil {
			t.Fatal(err)
		}
	}
	d := open(t, path)
	for _, key := range []string{"catalog/secret", "file", "up/x"} {
		if body, err := d.Get(t.Context(), key, 0, -1); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("get of %s gave %v, %v: expected an error that is not 'absent'", key, body, err)
		}
	}
	if err := d.Create(t.Context(), "catalog/new", []byte("x")); err == nil {
		t.Error("create through a link outwards went well")
	}
	if err := d.Delete(t.Context(), "catalog/secret"); err == nil {
		t.Error("delete through a link outwards went well")
	}
	for o, err := range d.List(t.Context(), "", "") {
		t.Errorf("list gave %v, %v: expected nothing", o, err)
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) != 1 {
		t.Fatalf("outside there is %v, %v: expected the secret alone", left, err)
	}
}

// tmpfs mounts a small filesystem.
func tmpfs(t *testing.T, options string) string {
	t.Helper()
	testkit.RequireRoot(t)
	path := t.TempDir()
	if err := unix.Mount("tmpfs", path, "tmpfs", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return path
}

// TestFull: a full disk is said to be one, publishes nothing, keeps what was there and leaves no file.
func TestFull(t *testing.T) {
	path := tmpfs(t, "size=1m,nr_inodes=20")
	d := open(t, path)
	if err := d.Create(t.Context(), "catalog/1", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	large := make([]byte, 2<<20)
	wants(t, d.Create(t.Context(), "catalog/2", large), store.ErrFull, "create on a full disk")
	wants(t, d.Put(t.Context(), "snap/x/00000.pack", bytes.NewReader(large), int64(len(large))), store.ErrFull, "put on a full disk")
	_, err := d.Get(t.Context(), "catalog/2", 0, -1)
	wants(t, err, store.ErrNotFound, "get of what had no room")
	if left, err := os.ReadDir(filepath.Join(path, tempDir)); err != nil || len(left) > 0 {
		t.Fatalf("%v, %v: expected no temporary file after a full disk", left, err)
	}
	if err := d.Create(t.Context(), "catalog/3", []byte("fits")); err != nil {
		t.Fatalf("create when there is room: %v", err)
	}
	var last error
	for i := 0; i < 40 && last == nil; i++ {
		last = d.Create(t.Context(), "many/"+strings.Repeat("n", i+1), []byte("x"))
	}
	wants(t, last, store.ErrFull, "create without an inode left")
}

func TestReadOnly(t *testing.T) {
	path := tmpfs(t, "size=1m")
	d := open(t, path)
	if err := d.Create(t.Context(), "a", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	wants(t, d.Create(t.Context(), "b", []byte("x")), syscall.EROFS, "create")
	wants(t, d.Delete(t.Context(), "a"), syscall.EROFS, "delete")
	if got, err := store.ReadAll(t.Context(), d, "a", 10); err != nil || string(got) != "kept" {
		t.Fatalf("read gave %q, %v", got, err)
	}
}

// TestRefused: what we may not look at is not absent.
func TestRefused(t *testing.T) {
	testkit.RequireRoot(t)
	path := t.TempDir()
	if err := os.Chmod(path, 0o700); err != nil {
		t.Fatal(err)
	}
	d := open(t, path)
	if err := d.Create(t.Context(), "catalog/1", []byte("x")); err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	if _, err := unix.SetfsuidRetUid(65534); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = unix.SetfsuidRetUid(0) }()
	_, err := d.Get(t.Context(), "catalog/1", 0, -1)
	wants(t, err, store.ErrCredentials, "get")
	_, err = d.Get(t.Context(), "catalog/2", 0, -1)
	wants(t, err, store.ErrCredentials, "get of what may or may not be there")
	wants(t, d.Create(t.Context(), "catalog/2", []byte("x")), store.ErrCredentials, "create")
	wants(t, d.Delete(t.Context(), "catalog/1"), store.ErrCredentials, "delete")
	for _, err := range d.List(t.Context(), "catalog/", "") {
		wants(t, err, store.ErrCredentials, "list")
		return
	}
	t.Fatal("list gave nothing, as for an empty repository")
}

// TestVerdicts: errors that no filesystem here can be made to give.
func TestVerdicts(t *testing.T) {
	for errno, want := range map[syscall.Errno]error{
		syscall.EIO: store.ErrUnreachable, syscall.ESTALE: store.ErrUnreachable, syscall.ENOTCONN: store.ErrUnreachable,
		syscall.ETIMEDOUT: store.ErrUnreachable, syscall.EDQUOT: store.ErrFull, syscall.ENOSPC: store.ErrFull,
		syscall.EROFS: store.ErrUnusable, syscall.ENOTDIR: store.ErrUnusable, syscall.EXDEV: store.ErrUnusable,
	} {
		err := judge("open", "/x", &os.PathError{Op: "openat", Path: "x", Err: errno})
		wants(t, err, want, errno.Error())
		wants(t, err, errno, errno.Error())
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrNoPlace) {
			t.Errorf("%v is taken for absent: %v", errno, err)
		}
	}
}

// TestOddObjects: what lies in an object's place and is none is an error, and in no list.
func TestOddObjects(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	if err := unix.Mkfifo(filepath.Join(path, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.Create(t.Context(), "folder/x", []byte("x")); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"pipe", "folder"} {
		if _, err := d.Get(t.Context(), key, 0, -1); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("get of %s gave %v", key, err)
		}
	}
	if err := d.Delete(t.Context(), "folder"); err == nil {
		t.Error("a folder was deleted as if it were an object")
	}
	wants(t, d.Create(t.Context(), "folder/x/y", []byte("x")), syscall.ENOTDIR, "create below an object")
}

// TestShrunk: an object that loses bytes while it is read is an error, not a short object.
func TestShrunk(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	if err := d.Create(t.Context(), "a", make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	body, err := d.Get(t.Context(), "a", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close() //nolint:errcheck // only read from
	if err := os.Truncate(filepath.Join(path, "a"), 100); err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, body)
	if n != 100 {
		t.Errorf("%d bytes came, expected 100", n)
	}
	wants(t, err, store.ErrDamaged, "read of a shrunk object")
}
