//go:build vm

package nfs

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/internal/vmtest"
	"github.com/interlock-run/interlock/internal/vmtest/late"
)

const (
	serverAddr = "10.77.0.2"
	clientAddr = "10.77.0.1"
	exported   = "/srv/nfs"
	// limit bounds what takes a second here, and a while on a loaded host.
	limit = 60 * time.Second
)

// server is the kernel's NFS server in a namespace of its own.
type server struct{ t *testing.T }

// newServer starts it and stops it when the test ends; the namespace and the export stay.
func newServer(t *testing.T) server {
	t.Helper()
	vmtest.Inside(t)
	s := server{t}
	if _, err := os.Stat("/run/netns/srv"); err != nil {
		s.setUp()
	}
	s.run("exportfs -ra")
	// Without nfsdcld every start would cost a grace period, and so would clients of an earlier test.
	must(t, os.RemoveAll("/var/lib/nfs/nfsdcld"))
	must(t, os.Mkdir("/var/lib/nfs/nfsdcld", 0o700))
	tracker := s.daemon("mount -t rpc_pipefs rpc_pipefs /run/rpc_pipefs && exec nfsdcld -F -p /run/rpc_pipefs -s /var/lib/nfs/nfsdcld")
	testkit.Wait(t, limit, func() (bool, string) {
		return holds(tracker.Pid(), "inotify"), "nfsdcld does not wait for the kernel yet"
	})
	s.daemon("exec rpc.mountd -F -N 3 -V 4")
	s.join()
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s server) setUp() {
	t := s.t
	t.Helper()
	must(t, os.MkdirAll(exported, 0o755))
	must(t, unix.Mount("backing", exported, "tmpfs", 0, "size=64m"))
	must(t, os.WriteFile("/etc/exports", []byte(exported+" 10.77.0.0/24(rw,sync,no_root_squash,no_subtree_check,fsid=0)\n"), 0o644))
	for _, f := range []string{"etab", "rmtab"} {
		must(t, os.WriteFile("/var/lib/nfs/"+f, nil, 0o644))
	}
	run(t, "ip", "netns", "add", "srv")
	run(t, "ip", "link", "add", "client", "type", "veth", "peer", "name", "server")
	run(t, "ip", "link", "set", "server", "netns", "srv")
	run(t, "ip", "addr", "add", clientAddr+"/24", "dev", "client")
	run(t, "ip", "link", "set", "client", "up")
	s.run("ip link set lo up && ip addr add " + serverAddr + "/24 dev server && ip link set server up")
}

// run is a shell's line in the server's namespace, with its view of the kernel's server.
func (s server) run(line string) {
	s.t.Helper()
	run(s.t, s.inside(line)...)
}

// daemon is run for what ends with the test.
func (s server) daemon(line string) *testkit.Process {
	s.t.Helper()
	return testkit.Start(s.t, s.inside(line)...)
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

func (s server) inside(line string) []string {
	return []string{"ip", "netns", "exec", "srv", "sh", "-c", "mount -t nfsd nfsd /proc/fs/nfsd && " + line}
}

func (s server) start() {
	s.t.Helper()
	s.run("exportfs -ra && rpc.nfsd -N 3 -V 4 -G 5 -L 5 4")
}

// stop closes its port: who asks it is refused.
func (s server) stop() { s.t.Helper(); s.run("echo 0 > /proc/fs/nfsd/threads") }

// cut makes the link lose everything.
func (s server) cut() { s.t.Helper(); s.run("ip link set server down") }

func (s server) join() { s.t.Helper(); s.run("ip link set server up") }

// unexport is the fence at the storage.
func (s server) unexport() { s.t.Helper(); s.run("exportfs -ua && exportfs -f") }

// mount gives a mountpoint of it, hard, with a volume file in it.
func (s server) mount(options string) string {
	t := s.t
	t.Helper()
	dir := filepath.Join(t.TempDir(), "mnt")
	must(t, os.Mkdir(dir, 0o755))
	run(t, "mount", "-t", "nfs4", "-o", "vers=4.2,hard,timeo=10,retrans=1"+options, serverAddr+":/", dir)
	t.Cleanup(func() { s.detach(dir) })
	return dir
}

// detach unmounts what a test has left mounted.
func (s server) detach(dir string) {
	s.t.Helper()
	s.join()
	s.start()
	for _, m := range testkit.MountsBelow(filepath.Dir(dir)) {
		late.Unmount(s.t, m, "force")
	}
}

func run(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", args, err, out)
	}
	return string(out)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
