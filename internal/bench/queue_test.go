//go:build bench

package bench

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
)

// queueSystem is one way to queue for a lock, with a server of its own.
type queueSystem struct {
	name    string
	open    func(t *testing.T) (service, func(n int) []string)
	service service
	program func(n int) []string // of one process with n contenders
	alone   bool                 // one contender a process, which is etcdctl
	leases  bool                 // a grant is followed by a record that says `running`
	most    int                  // contenders; 0 is any number
	why     string               // not more, or not at all
	absent  bool
}

func queueSystems(t *testing.T) []queueSystem {
	crowd := buildCrowd(t)
	all := []queueSystem{
		{name: "interlock etcd", leases: true, open: func(t *testing.T) (service, func(int) []string) {
			s := testkit.Etcd(t, testkit.EtcdOptions{})
			return etcdService{s}, func(n int) []string {
				return []string{crowd, "etcd://" + s.Addr() + "/" + queuePath, strconv.Itoa(n)}
			}
		}},
		{name: "etcdctl lock", alone: true, most: 100, why: "a process for each contender would take more memory than a machine for tests has",
			open: func(t *testing.T) (service, func(int) []string) {
				s := testkit.Etcd(t, testkit.EtcdOptions{})
				return etcdService{s}, func(int) []string {
					return []string{"etcdctl", "--endpoints", s.Endpoint(), "lock", "--ttl", "20", queuePath}
				}
			}},
		{name: "interlock zk", leases: true, open: func(t *testing.T) (service, func(int) []string) {
			s := newZKService(t)
			return s, func(n int) []string {
				return []string{crowd, "zk://" + s.Addr() + "/" + queuePath, strconv.Itoa(n)}
			}
		}},
		{name: "kazoo", open: func(t *testing.T) (service, func(int) []string) {
			s := newZKService(t)
			return s, func(n int) []string {
				return []string{python, "testdata/crowd.py", s.Addr(), "/" + queuePath, strconv.Itoa(n)}
			}
		}},
	}
	if out, err := exec.Command(python, "-c", "import kazoo").CombinedOutput(); err != nil {
		all[3].absent, all[3].why = true, "python3-kazoo is not installed: "+lastLine(string(out))
	}
	return all
}

// python is Debian's, for which Debian packages kazoo.
const python = "/usr/bin/python3"

func buildCrowd(t *testing.T) string {
	t.Helper()
	out := filepath.Join(testkit.PublicDir(t), "crowd")
	cmd := exec.Command("go", "build", "-tags", "bench", "-o", out, "./crowd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the crowd: %v\n%s", err, text)
	}
	return out
}

// TestQueue measures what contenders that wait cost the service, themselves and each other. BENCH_SIZES
// are their numbers, beside the one that holds; BENCH_N the releases; BENCH_IDLE the seconds of waiting
// that are measured.
func TestQueue(t *testing.T) {
	all := queueSystems(t)
	systems{dir: testkit.PublicDir(t)}.circumstances(t)
	n, idle := rounds(t, 30), time.Duration(number(t, "BENCH_IDLE", 20))*time.Second
	b := newQueueTables(all)
	for _, size := range sizes(t) {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			b.runs = gather(t, all, size, b)
			b.idle(t, size, idle)
			for range n {
				b.release(t)
			}
			b.show(t, size, idle)
		})
		b.runs = nil
	}
	if err := b.flat(); err != nil {
		t.Error(err)
	}
}

// A run is one system with one number of contenders.
type run struct {
	sys     queueSystem
	crew    *crew
	waiting int
	before  float64 // the server's memory with the holder alone
	row     *queueRow
}

// gather makes the queues of one size, each on a fresh server.
func gather(t *testing.T, all []queueSystem, size int, b *queueTables) []*run {
	var runs []*run
	for _, sys := range all {
		if sys.absent || sys.most > 0 && size > sys.most {
			b.leaveOut(size, sys)
			continue
		}
		sys.service, sys.program = sys.open(t)
		r := &run{sys: sys, crew: newCrew(t, sys), waiting: size, row: newQueueRow(sys.name)}
		if err := r.gather(t); err != nil {
			t.Errorf("%s: %d contenders: %v", sys.name, size, err)
			b.fail(size, sys, err)
			continue
		}
		runs = append(runs, r)
	}
	return runs
}

func (r *run) gather(t *testing.T) error {
	if err := r.crew.add(t, 1); err != nil {
		return err
	}
	if _, err := r.crew.await(r.crew.marks()...); err != nil {
		return err
	}
	if err := settled(t, r.sys.service, 1); err != nil {
		return err
	}
	r.before = r.sys.service.memory(t)
	began := testkit.Monotonic()
	if err := r.crew.add(t, r.waiting); err != nil {
		return err
	}
	if err := settled(t, r.sys.service, r.waiting+1); err != nil {
		return err
	}
	r.row.joined = (testkit.Monotonic() - began).Seconds()
	kib, err := r.crew.memory(r.crew.members[1:])
	r.row.memory = kib / float64(r.waiting)
	r.row.server = (r.sys.service.memory(t) - r.before) / float64(r.waiting)
	return err
}

func sizes(t *testing.T) []int {
	t.Helper()
	text := os.Getenv("BENCH_SIZES")
	if text == "" {
		text = "1,10,100,1000"
	}
	var all []int
	for _, s := range strings.Split(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n < 1 {
			t.Fatalf("BENCH_SIZES: found %q: expected numbers from 1, with commas between them", text)
		}
		all = append(all, n)
	}
	return all
}

func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatal(errors.Join(fmt.Errorf("%s: found %q: expected a number from 1", name, text), err))
	}
	return n
}
