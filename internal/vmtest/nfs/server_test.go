//go:build vm

package nfs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/internal/vmtest"
	"github.com/interlock-run/interlock/internal/vmtest/late"
)

const exported = "/srv/nfs"

// server is the kernel's NFS server in a namespace of its own.
type server struct {
	vmtest.Link
	t *testing.T
}

// newServer starts it and stops it when the test ends; the namespace and the export stay.
func newServer(t *testing.T) server {
	t.Helper()
	s := server{vmtest.NewLink(t, "mount -t nfsd nfsd /proc/fs/nfsd && "), t}
	if _, err := os.Stat(exported); err != nil {
		s.setUp()
	}
	s.At("exportfs -ra")
	// Without nfsdcld every start would cost a grace period, and so would clients of an earlier test.
	must(t, os.RemoveAll("/var/lib/nfs/nfsdcld"))
	must(t, os.Mkdir("/var/lib/nfs/nfsdcld", 0o700))
	tracker := s.Daemon("sh -c 'mount -t rpc_pipefs rpc_pipefs /run/rpc_pipefs && exec nfsdcld -F -p /run/rpc_pipefs -s /var/lib/nfs/nfsdcld'")
	testkit.Wait(t, vmtest.Limit, func() (bool, string) {
		return holds(tracker.Pid(), "inotify"), "nfsdcld does not wait for the kernel yet"
	})
	s.Daemon("rpc.mountd -F -N 3 -V 4")
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s server) setUp() {
	t := s.t
	t.Helper()
	must(t, os.MkdirAll(exported, 0o755))
	must(t, unix.Mount("backing", exported, "tmpfs", 0, "size=64m"))
	s.write("10.77.0.0/24", "rw")
	for _, f := range []string{"etab", "rmtab"} {
		must(t, os.WriteFile("/var/lib/nfs/"+f, nil, 0o644))
	}
}

// write is the list of exports; how is rw or ro.
func (s server) write(who, how string) {
	s.t.Helper()
	line := fmt.Sprintf("%s %s(%s,sync,no_root_squash,no_subtree_check,fsid=0)\n", exported, who, how)
	must(s.t, os.WriteFile("/etc/exports", []byte(line), 0o644))
}

// holds tells whether a process has such a file open.
func holds(pid int, suffix string) bool {
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, fd := range fds {
		if target, linkErr := os.Readlink(fd); linkErr == nil && strings.HasSuffix(target, suffix) {
			return err == nil
		}
	}
	return false
}

func (s server) start() {
	s.t.Helper()
	s.At("exportfs -ra && rpc.nfsd -N 3 -V 4 -G 5 -L 5 4")
}

// stop closes its port: who asks it is refused.
func (s server) stop() { s.t.Helper(); s.At("echo 0 > /proc/fs/nfsd/threads") }

// unexport is the fence at the storage.
func (s server) unexport() { s.t.Helper(); s.At("exportfs -ua && exportfs -f") }

// mount gives a mountpoint of it, hard.
func (s server) mount(options string) string { s.t.Helper(); return s.mountOf("/", options) }

// mountOf is mount of one directory of the export.
func (s server) mountOf(path, options string) string {
	t := s.t
	t.Helper()
	dir := filepath.Join(t.TempDir(), "mnt")
	must(t, os.Mkdir(dir, 0o755))
	vmtest.Run(t, "mount", "-t", "nfs4", "-o", "vers=4.2,hard,timeo=10,retrans=1"+options, vmtest.ServerAddr+":"+path, dir)
	t.Cleanup(func() { s.detach(dir) })
	return dir
}

// detach unmounts what a test has left mounted.
func (s server) detach(dir string) {
	s.t.Helper()
	s.Join()
	s.start()
	for _, m := range testkit.MountsBelow(filepath.Dir(dir)) {
		late.Unmount(s.t, m, "force")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
