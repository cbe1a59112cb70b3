package device

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
)

// An export is a server that lets one client in at a time, and the services of the nodes that are its clients:
// they serve it as a file (nbdfuse), and outlive a run's kill domain as the kernel's own client does.
type export struct {
	socket string
	mu     sync.Mutex
	nodes  map[string]*service
}

// A service is one node's client, which commands ask through a pipe.
type service struct {
	dir    string
	client *testkit.Process
}

func serveOne(t testing.TB, image string) *export {
	t.Helper()
	for _, tool := range []string{"nbdkit", "nbdfuse"} {
		if _, err := exec.LookPath(tool); err != nil {
			testkit.Skip(t, tool, tool+" is not installed")
		}
	}
	e := &export{socket: filepath.Join(t.TempDir(), "socket"), nodes: map[string]*service{}}
	testkit.Start(t, "nbdkit", "-f", "-U", e.socket, "--filter=limit", "file", image, "limit=1")
	testkit.Wait(t, limit, func() (bool, string) {
		_, err := os.Stat(e.socket)
		return err == nil, "nbdkit has no socket"
	})
	return e
}

// node is a rig that attaches the export on a node of this name: a loop device over what its service serves.
func (r *rig) node(t testing.TB, e *export, name string) *rig {
	t.Helper()
	dir := filepath.Join(r.Dir, name)
	must(t, os.Mkdir(dir, 0o755))
	s := *r.Scene
	n := &rig{Scene: &s, image: r.image, point: filepath.Join(dir, "mnt"), dev: testkit.FreeLoop(t), fstype: r.fstype, uuid: r.uuid}
	s.Data, s.State = n.point, filepath.Join(n.point, ".interlock")
	must(t, os.Mkdir(n.point, 0o755))
	served := filepath.Join(dir, "served")
	must(t, os.Mkdir(served, 0o755))
	for _, fifo := range []string{"ask", "answer"} {
		must(t, unix.Mkfifo(filepath.Join(dir, fifo), 0o600))
	}
	e.begin(t, name, dir)
	ask := func(what string) string {
		return fmt.Sprintf(`{ echo $$ %s > %[2]s/ask; while read -r who said; do test "$who" != $$ || break; done < %[2]s/answer; test "$said" = ok || { echo "$said" >&2; exit 1; }; }`, what, dir)
	}
	n.attach = []string{"sh", "-c", ask("up") + " && losetup " + n.dev + " " + served + "/nbd"}
	n.detach = []string{"sh", "-c", "losetup -d " + n.dev + " && " + ask("down")}
	n.run = filepath.Join(dir, "run")
	t.Cleanup(func() { n.away(t) })
	return n
}

// begin runs the service until the end of the test.
func (e *export) begin(t testing.TB, name, dir string) {
	t.Helper()
	answer, err := os.OpenFile(filepath.Join(dir, "answer"), os.O_RDWR, 0) // for ever open, too: who asked may be gone
	must(t, err)
	v := &service{dir: dir}
	e.nodes[name] = v
	ctx, cancel := context.WithCancel(context.Background())
	ask, err := os.OpenFile(filepath.Join(dir, "ask"), os.O_RDWR, 0) // for ever open: there is no end of it
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		words := bufio.NewScanner(ask)
		for words.Scan() && ctx.Err() == nil {
			who, what, _ := strings.Cut(words.Text(), " ")
			if _, err := fmt.Fprintln(answer, who, e.do(t, v, what)); err != nil {
				t.Errorf("cannot answer: %v", err)
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		_, err := fmt.Fprintln(ask, "end")
		must(t, err)
		<-done
		must(t, errors.Join(ask.Close(), answer.Close()))
		e.mu.Lock()
		defer e.mu.Unlock()
		v.free(t)
	})
}

func (e *export) do(t testing.TB, v *service, what string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch what {
	case "up":
		return v.up(t, e.socket)
	case "down":
		v.free(t)
	}
	return "ok"
}

func (v *service) up(t testing.TB, socket string) string {
	file := filepath.Join(v.dir, "served", "nbd")
	v.client = testkit.Start(t, "nbdfuse", "-C", "1", filepath.Dir(file)+"/nbd", "--unix", socket)
	said := "ok"
	testkit.Wait(t, limit, func() (bool, string) {
		select {
		case <-v.client.Exited():
			said = "the export is taken: " + strings.ReplaceAll(v.client.Stderr(t), "\n", " ")
			v.client = nil
			return true, ""
		default:
		}
		_, err := os.Stat(file)
		return err == nil, "nbdfuse does not serve"
	})
	return said
}

// kill ends the client, if it has not ended.
func (v *service) kill(t testing.TB) {
	select {
	case <-v.client.Exited():
	default:
		v.client.Signal(t, unix.SIGKILL)
		v.client.Wait(t, limit)
	}
}

// free ends the client, and takes its mount away.
func (v *service) free(t testing.TB) {
	if v.client == nil {
		return
	}
	v.kill(t)
	v.client = nil
	testkit.Wait(t, limit, func() (bool, string) {
		err := unix.Unmount(filepath.Join(v.dir, "served"), 0)
		return err == nil, fmt.Sprintf("umount %s: %v", v.dir, err)
	})
}

// reset is a fence that switches the node off and on: its connection is gone, and all that it had attached.
func (e *export) reset(t testing.TB, name string, n *rig) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	v := e.nodes[name]
	v.kill(t)
	must(t, unix.Unmount(n.point, unix.MNT_DETACH))
	run(t, "losetup", "-d", n.dev)
	v.free(t)
}
