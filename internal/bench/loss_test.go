//go:build bench

package bench

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
)

// loss is one way to take lock or mount from a running payload.
type loss struct {
	name string
	exit int
	// setup readies round i and returns the command before the payload.
	setup func(i int) (args []string, take taker, err error)
}

// A taker takes lock or mount away and tells when it began to.
type taker func() (time.Duration, error)

// now wraps what needs no preparation.
func now(act func() error) taker {
	return func() (time.Duration, error) {
		begun := testkit.Monotonic()
		return begun, act()
	}
}

// TestBenchLoss measures from right before the loss to the payload's death,
// without grace. A round that ends with another exit code than the loss's
// own is a failure.
func TestBenchLoss(t *testing.T) {
	testkit.RequireRoot(t)
	s := newSystems(t)
	all := losses(t, s)
	var rows []*Sample
	for _, l := range all {
		rows = append(rows, NewSample(l.name))
	}
	for i := range rounds(t, 30) {
		for k, l := range all {
			if rows[k].Measures() {
				rows[k].Add(l.once(t, s.payload, i))
			}
		}
	}
	show(t, "loss to death, no grace", "ms", nil, rows...)
}

func (l loss) once(t *testing.T, payload string, i int) (float64, error) {
	args, take, err := l.setup(i)
	if err != nil {
		return 0, err
	}
	g := newGate(t)
	p := testkit.Start(t, append(args, payload, g.path)...)
	a, err := g.next(p)
	if err != nil {
		return 0, fmt.Errorf("%w: %s", err, lastLine(p.Stderr(t)))
	}
	begun, err := take()
	if err != nil {
		return 0, err
	}
	died, err := a.death()
	if err = errors.Join(err, exited(p)); err != nil {
		return 0, err
	}
	if code := p.Wait(t, patience); code != l.exit {
		return 0, fmt.Errorf("exit %d, want %d: %s", code, l.exit, lastLine(p.Stderr(t)))
	}
	return millis(died - begun), nil
}

func losses(t *testing.T, s systems) []loss {
	take := map[string]func(lock string) taker{
		"interlock file": func(lock string) taker {
			return now(func() error { return replaceFile(filepath.Join(s.dir, "locks", lock)) })
		},
		"interlock etcd": func(lock string) taker {
			return now(func() error { return deleteEtcd(s.etcd.Endpoint(), "bench/"+lock) })
		},
		"interlock zk": zkDeleter(t, s.zk.Addr()),
	}
	what := map[string]string{"interlock file": "lock file replaced", "interlock etcd": "etcd: lock key deleted", "interlock zk": "zk: lock node deleted"}
	var all []loss
	for _, sys := range s.interlocks() {
		all = append(all, loss{name: what[sys.name], exit: 76, setup: func(i int) ([]string, taker, error) {
			lock := fmt.Sprintf("loss%d", i)
			return s.run(sys.url(lock), lock, "--grace", "0s"), take[sys.name](lock), s.prepareOne(sys.url(lock), lock)
		}})
	}
	return append(all, loss{name: "umount -l", exit: 74, setup: func(i int) ([]string, taker, error) { return s.mounted(t, i) }})
}

// mounted puts the data on a tmpfs of its own.
func (s systems) mounted(t *testing.T, i int) ([]string, taker, error) {
	lock := fmt.Sprintf("mount%d", i)
	dir := filepath.Join(s.dir, "data", lock)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, nil, err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		return nil, nil, fmt.Errorf("cannot mount a tmpfs: %w", err)
	}
	t.Cleanup(func() {
		// Gone already unless the round failed.
		_ = unix.Unmount(dir, unix.MNT_DETACH)
	})
	data := filepath.Join(dir, "db")
	args := []string{s.interlock, "run", "--lock", "file://" + filepath.Join(s.dir, "locks", lock),
		"--mount", dir + ",fstype=tmpfs", "--data", data, "--grace", "0s", "--"}
	return args, now(func() error { return unix.Unmount(dir, unix.MNT_DETACH) }), os.Mkdir(data, 0o755)
}

// replaceFile does what an editor or a restore from a backup does.
func replaceFile(path string) error {
	fresh := path + ".new"
	return errors.Join(os.WriteFile(fresh, nil, 0o644), os.Rename(fresh, path))
}

// deleteEtcd uses the JSON gateway: to start etcdctl takes longer than all
// that is measured.
func deleteEtcd(endpoint, name string) error {
	key := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	body := fmt.Sprintf(`{"key":%q,"range_end":%q}`, key(name+"/"), key(name+"0"))
	client := &http.Client{Timeout: 5 * time.Second}
	resp, err := client.Post(endpoint+"/v3/kv/deleterange", "application/json", bytes.NewBufferString(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("etcd refuses to delete: %s", resp.Status)
	}
	return nil
}

// zkDeleter looks for the node first: only the deletion is measured.
func zkDeleter(t *testing.T, addr string) func(lock string) taker {
	conn, _, err := zk.Connect([]string{addr}, 10*time.Second, zk.WithLogInfo(false))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return func(lock string) taker {
		return func() (time.Duration, error) {
			node, err := lockNode(conn, "/bench/"+lock)
			begun := testkit.Monotonic()
			if err != nil {
				return begun, err
			}
			return begun, conn.Delete(node, -1)
		}
	}
}

func lockNode(conn *zk.Conn, path string) (string, error) {
	children, _, err := conn.Children(path)
	if err != nil {
		return "", fmt.Errorf("ZooKeeper %s: %w", path, err)
	}
	for _, c := range children {
		if strings.Contains(c, "-lock-") {
			return path + "/" + c, nil
		}
	}
	return "", fmt.Errorf("ZooKeeper %s: no lock node among %q", path, children)
}
