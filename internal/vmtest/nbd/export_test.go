//go:build vm

package nbd

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/internal/vmtest"
	"github.com/interlock-run/interlock/internal/vmtest/late"
)

const (
	node = "/dev/nbd0"
	port = 10809
)

func address() netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(vmtest.ServerAddr), port)
}

// export is a server with one image, and what is attached to it.
type export struct {
	vmtest.Link
	t      *testing.T
	kind   string // nbdkit, nbd-server
	fstype string // ext4, xfs
	image  string
	server *testkit.Process
}

// newExport starts a server; one client at a time, and one request: with more it may see the end of the
// connection before it has done what came over it.
func newExport(t *testing.T) *export { t.Helper(); return newExportOf(t, "nbdkit") }

func newExportOf(t *testing.T, kind string) *export {
	t.Helper()
	e := &export{Link: vmtest.NewLink(t, ""), t: t, kind: kind, fstype: "ext4", image: filepath.Join(t.TempDir(), "image")}
	must(t, os.WriteFile(e.image, nil, 0o644))
	must(t, os.Truncate(e.image, 32<<20))
	e.start()
	return e
}

func (e *export) start() {
	e.t.Helper()
	if e.kind == "nbd-server" {
		e.listens(e.daemon())
		return
	}
	e.server = e.Daemon(fmt.Sprintf("nbdkit -f -t 1 -i %s -p %d --filter=limit file %s limit=1", vmtest.ServerAddr, port, e.image))
	e.listens(e.server.Pid())
}

// daemon is nbd-server, which serves more than one client only behind our back.
func (e *export) daemon() (pid int) {
	e.t.Helper()
	file := filepath.Join(e.t.TempDir(), "pid")
	e.At(fmt.Sprintf("nbd-server %s:%d %s -C /nonexistent -p %s", vmtest.ServerAddr, port, e.image, file))
	testkit.Wait(e.t, vmtest.Limit, func() (bool, string) {
		raw, err := os.ReadFile(file)
		n, _ := fmt.Sscan(string(raw), &pid)
		return n == 1, fmt.Sprintf("nbd-server has not said its pid: %v", err)
	})
	e.t.Cleanup(func() { killTree(e.t, pid) })
	return pid
}

// killTree ends a daemon with those that serve one client each, and listen, too.
func killTree(t *testing.T, pid int) {
	t.Helper()
	clients := testkit.Descendants(pid)
	for _, p := range append([]int{pid}, clients...) { // those without a parent are ours
		if err := unix.Kill(p, unix.SIGKILL); !errors.Is(err, unix.ESRCH) {
			must(t, err)
			testkit.ReapOrphan(t, p)
		}
	}
}

func (e *export) listens(pid int) {
	e.t.Helper()
	testkit.Wait(e.t, vmtest.Limit, func() (bool, string) {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", pid))
		return err == nil && strings.Contains(string(raw), fmt.Sprintf(":%04X 00000000:0000 0A", port)), e.kind + " does not listen"
	})
}

// attach connects the device to it, with a filesystem on it, mounted.
func (e *export) attach(options ...string) (dir string) {
	t := e.t
	t.Helper()
	vmtest.Run(t, append(append([]string{"nbd-client"}, options...), vmtest.ServerAddr, fmt.Sprint(port), node)...)
	t.Cleanup(e.free)
	vmtest.Run(t, append(e.mkfs(), node)...)
	dir = filepath.Join(t.TempDir(), "mnt")
	must(t, os.Mkdir(dir, 0o755))
	must(t, unix.Mount(node, dir, e.fstype, 0, map[string]string{"ext4": "errors=remount-ro"}[e.fstype]))
	t.Cleanup(func() { e.detach(dir) })
	return dir
}

// mkfs is without the device; an xfs of this size takes a word.
func (e *export) mkfs() []string {
	if e.fstype == "xfs" {
		return []string{"mkfs.xfs", "--unsupported", "-q", "-f", "-K"}
	}
	return []string{"mkfs.ext4", "-q", "-e", "remount-ro", "-E", "lazy_itable_init=0,nodiscard"}
}

// detach disconnects first, if nobody has yet: that frees what hangs.
func (e *export) detach(dir string) {
	e.t.Helper()
	e.disconnect()
	for _, m := range testkit.MountsBelow(filepath.Dir(dir)) {
		late.Unmount(e.t, m, "force")
	}
}

func (e *export) disconnect() {
	e.t.Helper()
	if attached() {
		vmtest.Run(e.t, "nbd-client", "-d", node)
	}
}

// free waits for the device to be free for the next test.
func (e *export) free() {
	testkit.Wait(e.t, vmtest.Limit, func() (bool, string) { return !attached(), node + " is still attached" })
}

func attached() bool {
	_, err := os.Stat("/sys/block/" + filepath.Base(node) + "/pid")
	return err == nil
}

// changed tells what the server last did to the image.
func (e *export) changed() string {
	st, err := os.Stat(e.image)
	must(e.t, err)
	return st.ModTime().String()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
