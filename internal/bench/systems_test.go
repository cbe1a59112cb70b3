//go:build bench

package bench

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
)

// systems are the ways to hold a lock, with the servers behind them.
type systems struct {
	interlock, payload, dir string
	etcd                    *testkit.EtcdServer
	zk                      *testkit.ZKServer
}

// system is one of them. name appears in the tables.
type system struct {
	name      string
	contender func(lock string) []string // the command before the payload
	queue     func(lock string) (int, error)
	url       func(lock string) string // interlock's; nil for etcdctl
}

func newSystems(t *testing.T) systems {
	t.Helper()
	s := systems{interlock: testkit.Binary(t), payload: buildPayload(t), dir: testkit.PublicDir(t),
		etcd: testkit.SharedEtcd(t), zk: testkit.SharedZooKeeper(t)}
	s.circumstances(t)
	for _, d := range []string{"data", "locks"} {
		if err := os.Mkdir(filepath.Join(s.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// circumstances are what figures depend on: state and locks are synced to a
// filesystem, and others may use the machine.
func (s systems) circumstances(t *testing.T) {
	t.Helper()
	kind, err := exec.Command("stat", "-f", "-c", "%T", s.dir).Output()
	load, lerr := os.ReadFile("/proc/loadavg")
	if err = errors.Join(err, lerr); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("data on %s; %d processors, load average %s\n", strings.TrimSpace(string(kind)),
		runtime.NumCPU(), strings.Join(strings.Fields(string(load))[:3], " "))
}

func (s systems) all() []system {
	return append(s.interlocks(), system{
		name: "etcdctl lock",
		contender: func(lock string) []string {
			return []string{"etcdctl", "--endpoints", s.etcd.Endpoint(), "lock", "ctl/" + lock}
		},
		queue: s.ctlQueue,
	})
}

func (s systems) interlocks() []system {
	var all []system
	for name, url := range map[string]func(string) string{
		"interlock file": func(lock string) string { return "file://" + filepath.Join(s.dir, "locks", lock) },
		"interlock etcd": func(lock string) string { return "etcd://" + s.etcd.Addr() + "/bench/" + lock },
		"interlock zk":   func(lock string) string { return "zk://" + s.zk.Addr() + "/bench/" + lock },
	} {
		all = append(all, system{name: name, url: url,
			contender: func(lock string) []string { return s.run(url(lock), lock) },
			queue:     func(lock string) (int, error) { return s.lockQueue(url(lock)) }})
	}
	return sorted(all)
}

// run gives each lock a data folder of its own: another lock's claim there
// would be refused.
func (s systems) run(url, lock string, more ...string) []string {
	args := append([]string{s.interlock, "run", "--lock", url, "--data", s.data(url, lock)}, more...)
	return append(args, "--")
}

// data has a parent of its own: the state folder lies beside it.
func (s systems) data(url, lock string) string {
	scheme, _, _ := strings.Cut(url, ":")
	return filepath.Join(s.dir, "data", scheme+"-"+lock, "db")
}

// prepare makes the data folders, and the records of locks in a service: a
// first start would else wait the hold.
func (s systems) prepare(t *testing.T, lock string) {
	t.Helper()
	for _, sys := range s.interlocks() {
		if err := s.prepareOne(sys.url(lock), lock); err != nil {
			t.Fatalf("%s: %v", sys.name, err)
		}
	}
}

func (s systems) prepareOne(url, lock string) error {
	if err := os.MkdirAll(s.data(url, lock), 0o755); err != nil {
		return err
	}
	if strings.HasPrefix(url, "file:") {
		return nil
	}
	out, err := exec.Command(s.interlock, "lock", "init", "--lock", url).CombinedOutput()
	if err != nil {
		return fmt.Errorf("interlock lock init: %w: %s", err, lastLine(string(out)))
	}
	return nil
}

func (s systems) lockQueue(url string) (int, error) {
	if path, is := strings.CutPrefix(url, "file://"); is {
		return kernelQueue(path)
	}
	out, err := exec.Command(s.interlock, "lock", "show", "--json", "--lock", url).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return 0, fmt.Errorf("interlock lock show: %w: %s", err, lastLine(string(exit.Stderr)))
	}
	var view struct{ Queue []json.RawMessage }
	if err = errors.Join(err, json.Unmarshal(out, &view)); err != nil {
		return 0, fmt.Errorf("interlock lock show --json: %w", err)
	}
	return len(view.Queue), nil
}

func (s systems) ctlQueue(lock string) (int, error) {
	out, err := s.etcd.Ctl("get", "--prefix", "--keys-only", "ctl/"+lock+"/")
	return len(strings.Fields(out)), err
}

func sorted(all []system) []system {
	slices.SortFunc(all, func(a, b system) int { return cmp.Compare(a.name, b.name) })
	return all
}

// kernelQueue counts who holds or waits for a file's lock, from /proc/locks:
// nobody but the kernel knows who waits.
func kernelQueue(path string) (int, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	raw, err := os.ReadFile("/proc/locks")
	if err != nil {
		return 0, err
	}
	waiting, n := fmt.Sprintf(":%d ", info.Sys().(*syscall.Stat_t).Ino), 1
	for line := range strings.Lines(string(raw)) {
		if strings.Contains(line, " -> ") && strings.Contains(line, waiting) {
			n++
		}
	}
	return n, nil
}
