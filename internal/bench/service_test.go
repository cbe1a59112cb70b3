//go:build bench

package bench

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/interlock-run/interlock/internal/testkit"
)

// counters are what a service says it has done so far.
type counters struct {
	at         time.Duration
	requests   float64 // messages from clients, keep-alives included
	keepAlives float64
	orders     map[string]float64 // ZooKeeper: the number of the last request but pings, by session
	notified   float64            // watch events, one for each watcher
	watches    float64            // that clients have now
	writes     float64
}

// since is the difference, but for what is no sum. What a session that has ended since asked is not known.
func (c counters) since(old counters) counters {
	if c.orders != nil {
		orders := 0.0
		for session, n := range c.orders {
			orders += n - old.orders[session]
		}
		c.keepAlives, old.keepAlives = c.requests-old.requests-orders, 0
	}
	return counters{at: c.at - old.at, requests: c.requests - old.requests, keepAlives: c.keepAlives - old.keepAlives,
		notified: c.notified - old.notified, watches: c.watches, writes: c.writes - old.writes}
}

// A service is a server of its own for one system's queue.
type service interface {
	count(t *testing.T) counters
	queued(t *testing.T) int
	memory(t *testing.T) float64 // resident, KiB
}

const queuePath = "queue/lock"

type etcdService struct{ *testkit.EtcdServer }

func (s etcdService) count(t *testing.T) counters {
	t.Helper()
	c := counters{at: testkit.Monotonic()}
	for name, v := range s.Metrics(t) {
		switch {
		case strings.HasPrefix(name, "grpc_server_msg_received_total{"):
			c.requests += v
			if strings.Contains(name, `grpc_method="LeaseKeepAlive"`) {
				c.keepAlives += v
			}
		case name == "etcd_debugging_mvcc_events_total":
			c.notified = v
		case name == "etcd_debugging_mvcc_watcher_total":
			c.watches = v
		case name == "etcd_mvcc_put_total", name == "etcd_mvcc_delete_total":
			c.writes += v
		}
	}
	return c
}

func (s etcdService) queued(t *testing.T) int {
	t.Helper()
	out, err := s.Ctl("get", "--prefix", "--keys-only", queuePath+"/")
	if err != nil {
		t.Fatal(err)
	}
	return len(strings.Fields(out))
}

func (s etcdService) memory(t *testing.T) float64 { t.Helper(); return resident(t, s.Pid()) }

// zkService asks by a connection of its own, which is one more session that pings.
type zkService struct {
	*testkit.ZKServer
	conn *zk.Conn
}

func newZKService(t *testing.T) zkService {
	t.Helper()
	s := zkService{ZKServer: testkit.ZooKeeper(t, testkit.ZKOptions{JVM: []string{"-Xmx512m"}})}
	var err error
	if s.conn, _, err = zk.Connect([]string{s.Addr()}, time.Minute, zk.WithLogInfo(false)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.conn.Close)
	return s
}

// count tells pings by what the sessions number: only real requests are. The two questions of each count
// are packets, too.
func (s zkService) count(t *testing.T) counters {
	t.Helper()
	c := counters{at: testkit.Monotonic(), orders: map[string]float64{}}
	for _, m := range numbered().FindAllStringSubmatch(s.FourLetter(t, "cons"), -1) {
		n, err := strconv.ParseUint(m[2], 16, 64)
		if err != nil {
			t.Fatalf("ZooKeeper numbers a request 0x%s: %v", m[2], err)
		}
		c.orders[m[1]] = float64(n)
	}
	for line := range strings.Lines(s.FourLetter(t, "mntr")) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), "\t")
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			continue // a version, or the server's state
		}
		switch {
		case name == "zk_packets_received":
			c.requests = v
		case strings.HasPrefix(name, "zk_sum_node_") && strings.HasSuffix(name, "_watch_count"):
			c.notified += v
		case name == "zk_watch_count":
			c.watches = v
		case name == "zk_cnt_updatelatency":
			c.writes = v
		}
	}
	return c
}

func numbered() *regexp.Regexp {
	return regexp.MustCompile(`sid=(0x[0-9a-f]+)\S*?,lcxid=0x([0-9a-f]+),`)
}

func (s zkService) queued(t *testing.T) int {
	t.Helper()
	there, stat, err := s.conn.Exists("/" + queuePath)
	if err != nil {
		t.Fatal(err)
	}
	if !there {
		return 0
	}
	return int(stat.NumChildren)
}

func (s zkService) memory(t *testing.T) float64 { t.Helper(); return resident(t, s.Pid()) }

func resident(t *testing.T, pid int) float64 {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(raw), "\nVmRSS:")
	var kib float64
	if _, err := fmt.Sscan(rest, &kib); err != nil || !found {
		t.Fatalf("process %d: no VmRSS in its status", pid)
	}
	return kib
}

// settled waits until so many are in the queue and the watches have not changed for a while.
func settled(t *testing.T, s service, contenders int) error {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	same, last, limit := 0, -1.0, testkit.Monotonic()+4*patience
	for same < 5 {
		<-tick.C
		queued, watches := s.queued(t), s.count(t).watches
		if queued == contenders && watches == last {
			same++
		} else {
			same, last = 0, watches
		}
		if testkit.Monotonic() > limit {
			return fmt.Errorf("%d in the queue with %v watches after %v, expected %d", queued, watches, 4*patience, contenders)
		}
	}
	return nil
}
