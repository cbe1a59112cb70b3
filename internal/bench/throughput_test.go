//go:build bench

package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
)

const (
	warmup = time.Second
	load   = 4 * time.Second
)

// A workload is one database and what puts load on it.
type workload struct {
	db      *testkit.Database
	program string // the server's name in the process table
	stop    syscall.Signal
	prepare []string
	load    func(d time.Duration) []string
	figure  *regexp.Regexp // transactions, and transactions a second, in the load's output
}

// TestPayloadMariaDB compares sysbench's OLTP on MariaDB.
func TestPayloadMariaDB(t *testing.T) {
	b := newThroughput(t)
	db := testkit.MariaDB(t, b.data)
	sysbench := []string{"sysbench", "oltp_read_write", "--db-driver=mysql", "--mysql-socket=" + db.Socket, "--mysql-user=root",
		"--mysql-db=bench", "--tables=4", "--table-size=10000"}
	b.compare(t, "sysbench OLTP read-write on MariaDB "+db.Version, workload{
		db: db, program: "mariadbd", stop: syscall.SIGTERM,
		prepare: append(sysbench[:len(sysbench):len(sysbench)], "prepare"),
		load: func(d time.Duration) []string {
			return append(sysbench[:len(sysbench):len(sysbench)], "--threads=2", fmt.Sprintf("--time=%d", int(d.Seconds())), "run")
		},
		figure: regexp.MustCompile(`transactions: +(\d+) +\(([0-9.]+) per sec`),
	})
}

// TestPayloadPostgreSQL compares pgbench on PostgreSQL.
func TestPayloadPostgreSQL(t *testing.T) {
	b := newThroughput(t)
	db := testkit.PostgreSQL(t, b.data)
	pgbench := []string{filepath.Join(testkit.PostgreSQLBin(), "pgbench"), "-h", filepath.Dir(db.Socket), "-p", "5432", "-U", "postgres"}
	b.compare(t, "pgbench (TPC-B like) on PostgreSQL "+db.Version, workload{
		db: db, program: "postgres", stop: syscall.SIGINT,
		prepare: append(pgbench[:len(pgbench):len(pgbench)], "-i", "-q", "-s", "2", "postgres"),
		load: func(d time.Duration) []string {
			return append(pgbench[:len(pgbench):len(pgbench)], "-n", "-c", "2", "-j", "2", "-T", strconv.Itoa(int(d.Seconds())), "postgres")
		},
		figure: regexp.MustCompile(`(?s)transactions actually processed: (\d+).*tps = ([0-9.]+)`),
	})
}

// throughput is a data directory on a tmpfs of its own: a disk that others
// use would hide any difference.
type throughput struct {
	systems
	mount, data string
}

func newThroughput(t *testing.T) *throughput {
	t.Helper()
	testkit.RequireRoot(t)
	b := &throughput{systems: systems{interlock: testkit.Binary(t), dir: testkit.PublicDir(t), etcd: testkit.SharedEtcd(t)}}
	b.mount = filepath.Join(b.dir, "m")
	b.data = filepath.Join(b.mount, "db")
	if err := os.Mkdir(b.mount, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("bench", b.mount, "tmpfs", 0, "size=1g,mode=755"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(b.mount, unix.MNT_DETACH); err != nil {
			t.Errorf("%s stays mounted: %v", b.mount, err)
		}
	})
	systems{dir: b.mount}.circumstances(t)
	return b
}

// A variant is a way to run the server; every round runs all of them on the
// same data directory, one after the other.
type variant struct {
	name string
	run  []string // before the server's command
	row  *Paired
	cost *Paired       // the server's processor time a transaction, in microseconds
	own  time.Duration // processor time of the wrapper's processes while load was on
}

// variants: the second bare one shows what is noise. Lock in etcd, heartbeats
// and write probes of the mount at their defaults.
func (b *throughput) variants(stop syscall.Signal) []*variant {
	run := []string{b.interlock, "run", "--lock", "etcd://" + b.etcd.Addr() + "/payload", "--data", b.data,
		"--mount", b.mount + ",fstype=tmpfs", "--stop-signal", strings.TrimPrefix(unix.SignalName(stop), "SIG")}
	with := func(isolate string) []string { return append(run[:len(run):len(run)], "--isolate", isolate, "--") }
	all := []*variant{{name: "bare"}, {name: "bare again"}, {name: "interlock, pidns", run: with("pidns")}, {name: "interlock, cgroup", run: with("cgroup")}}
	for _, v := range all {
		v.row, v.cost = NewPaired(v.name), NewPaired(v.name)
	}
	return all
}

func (b *throughput) compare(t *testing.T, title string, w workload) {
	t.Helper()
	if _, err := exec.LookPath(w.prepare[0]); err != nil {
		testkit.Skip(t, filepath.Base(w.prepare[0]), err.Error())
	}
	if out, err := exec.Command(b.interlock, "lock", "init", "--lock", "etcd://"+b.etcd.Addr()+"/payload").CombinedOutput(); err != nil {
		t.Fatalf("lock init: %v: %s", err, out)
	}
	w.db.Initialize(t)
	b.fill(t, w)
	all := b.variants(w.stop)
	n := rounds(t, 12)
	for round := range n {
		for i := range all {
			all[(i+round)%len(all)].once(t, w) // no variant is always the first
		}
	}
	err := Ratios(os.Stdout, title, "transactions a second", all[0].row, all[1].row, all[2].row, all[3].row)
	// Other load on the machine takes time from a transaction, but far less of the time that it computes.
	err = errors.Join(err, Ratios(os.Stdout, title, "us of the server's processor time a transaction", all[0].cost, all[1].cost, all[2].cost, all[3].cost))
	if err != nil {
		t.Fatal(err)
	}
	noise := all[1].row.Against(all[0].row)
	for _, v := range all[2:] {
		if got := v.row.Against(all[0].row); got.Below(noise) {
			t.Errorf("%s: %s of bare, and bare runs among themselves %s: slower than the noise explains", v.name, got, noise)
		}
		fmt.Printf("%s: its own processes used %.2f %% of one processor under load\n", v.name, 100*v.own.Seconds()/(float64(n)*load.Seconds()))
	}
}

// fill makes the tables once, with the bare server.
func (b *throughput) fill(t *testing.T, w workload) {
	t.Helper()
	p := (&variant{}).start(t, w)
	if w.program == "mariadbd" {
		w.db.Query(t, "CREATE DATABASE bench;")
	}
	if out, err := bounded(w.prepare); err != nil {
		t.Fatalf("%v: %v\n%s", w.prepare, err, out)
	}
	stopServer(t, p, w)
}

// once is one start, warm-up, measured load and stop.
func (v *variant) once(t *testing.T, w workload) {
	t.Helper()
	p := v.start(t, w)
	if out, err := bounded(w.load(warmup)); err != nil {
		t.Fatalf("%s: warm-up: %v\n%s", v.name, err, out)
	}
	before, busy := wrapperTime(t, p.Pid(), w.program), serverTime(t, p.Pid(), w.program)
	out, err := bounded(w.load(load))
	if err != nil {
		t.Fatalf("%s: load: %v\n%s", v.name, err, out)
	}
	v.own += wrapperTime(t, p.Pid(), w.program) - before
	found := w.figure.FindStringSubmatch(out)
	if found == nil {
		t.Fatalf("%s: no figure in\n%s", v.name, out)
	}
	busy = serverTime(t, p.Pid(), w.program) - busy
	n, err := strconv.ParseFloat(found[1], 64)
	tps, terr := strconv.ParseFloat(found[2], 64)
	if err = errors.Join(err, terr); err != nil || n <= 0 || tps <= 0 || busy <= 0 {
		t.Fatalf("%s: %q transactions, %q a second, %v of processor time: %v", v.name, found[1], found[2], busy, err)
	}
	v.row.Add(tps)
	v.cost.Add(float64(busy.Microseconds()) / n)
	stopServer(t, p, w)
}

func (v *variant) start(t *testing.T, w workload) *testkit.Process {
	t.Helper()
	p := testkit.Start(t, append(v.run[:len(v.run):len(v.run)], w.db.AsUser(w.db.Server...)...)...)
	w.db.WaitReady(t, patience)
	return p
}

func stopServer(t *testing.T, p *testkit.Process, w workload) {
	t.Helper()
	p.Signal(t, w.stop)
	if code := p.Wait(t, patience); code != 0 {
		t.Fatalf("the server ended with %d: %s", code, lastLine(p.Stderr(t)))
	}
}

func bounded(argv []string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	return string(out), err
}

// serverPids are the server's first process and all below it.
func serverPids(t *testing.T, top int, program string) []int {
	t.Helper()
	for _, pid := range append([]int{top}, testkit.Descendants(top)...) {
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err == nil && strings.TrimSpace(string(comm)) == program {
			return append([]int{pid}, testkit.Descendants(pid)...)
		}
	}
	t.Fatalf("no process %s at or below %d", program, top)
	return nil
}

// serverTime is the processor time so far of the server, with that of its processes that have ended: a
// client's, in PostgreSQL.
func serverTime(t *testing.T, top int, program string) time.Duration {
	t.Helper()
	sum := int64(0)
	for _, pid := range serverPids(t, top, program) {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // has just ended: its parent counts it
		}
		fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
		for _, field := range fields[11:15] { // utime, stime, cutime, cstime
			n, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				t.Fatalf("/proc/%d/stat: %v", pid, err)
			}
			sum += n
		}
	}
	return time.Duration(sum) * time.Second / 100 // USER_HZ
}

// wrapperTime is the processor time so far of top and all below it but the server and what the server
// started; zero where top is the server itself.
func wrapperTime(t *testing.T, top int, program string) time.Duration {
	t.Helper()
	server, sum := serverPids(t, top, program), time.Duration(0)
	for _, pid := range append(testkit.Descendants(top), top) {
		if !slices.Contains(server, pid) {
			sum += threadsTime(pid)
		}
	}
	return sum
}

// threadsTime adds up what the kernel has scheduled of each thread.
func threadsTime(pid int) time.Duration {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid)) // only a malformed pattern is an error
	sum := int64(0)
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has ended
		}
		first, _, _ := strings.Cut(string(raw), " ")
		ns, err := strconv.ParseInt(first, 10, 64)
		if err == nil {
			sum += ns
		}
	}
	return time.Duration(sum)
}
