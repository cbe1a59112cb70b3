package warm

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/warmtest"
)

const killed = 128 + int(syscall.SIGKILL)

// mark puts an item into a server that says which state of it this is.
func mark(t testing.TB, kit *testkit.MemcachedServer, state int) {
	t.Helper()
	text := itoa(state)
	kit.Ask(t, fmt.Sprintf("set state 0 0 %d\r\n%s\r\nmn\r\n", len(text), text), "MN")
}

// restored loads the newest dump into a fresh server, wants it whole, and gives the state that it is of.
func restored(t testing.TB, d *depot, from *testkit.MemcachedServer, n int) string {
	t.Helper()
	to := fresh(t)
	d.want(t, 0, "warm", "load", "--memcached", to.Addr())
	same(t, from.Addr(), to.Addr(), n)
	state := to.Ask(t, "get state\r\nmn\r\n", "MN")
	to.Kill(t)
	return strings.Join(state[1:len(state)-2], " ")
}

// A dump is killed at each of its steps: what can be loaded afterwards is the dump before, whole, or the new
// one, whole, and memcached serves as if nothing had been.
func TestDumpKilledAtEachStep(t *testing.T) {
	t.Parallel()
	const n = 3000
	from, d := filled(t, n), inDirectory(t)
	state, want := 1, "1"
	mark(t, from, state)
	d.dump(t, from.Addr())
	for _, step := range []struct {
		point     string
		published bool
	}{
		{"warm:listed", false}, {"warm:part", false}, {"warm:part#3", false}, {"warm:index", false}, {"warm:dumped", false}, {"warm:draft", false},
		{"warm:written", false}, {"warm:published", true}, {"warm:forgotten", true},
	} {
		state++
		mark(t, from, state)
		p := d.broken(step.point+"=kill").start(t, "warm", "dump", "--memcached", from.Addr(), "--scratch", d.scratch, "--budget-rate", "1000000")
		if code := p.Wait(t, limit); code != killed {
			t.Fatalf("%s: %d, not killed there: %s", step.point, code, p.Stderr(t))
		}
		answered(t, from)
		if step.published {
			want = itoa(state)
		}
		if got := restored(t, d, from, n); got != want {
			t.Errorf("%s: the newest dump is of state %s, want %s", step.point, got, want)
		}
	}
	d.dump(t, from.Addr())
	if got := d.snapshots(t); got != 2 {
		t.Errorf("%d dumps stay, want 2", got)
	}
	d.want(t, 0, "verify", "--all")
	left, err := os.ReadDir(d.scratch)
	must(t, err)
	for _, e := range left {
		if e.IsDir() {
			t.Errorf("%s was left by a killed dump", e.Name())
		}
	}
}

// answered wants an answer on connections of all of the server's threads.
func answered(t testing.TB, kit *testkit.MemcachedServer) {
	t.Helper()
	for range 8 {
		kit.Ask(t, "mg state v\r\nmn\r\n", "MN")
	}
}

// A load is killed at its steps: nothing is wrong, and the next one completes it.
func TestLoadKilledAtEachStep(t *testing.T) {
	t.Parallel()
	const n = 5000
	from, to, d := filled(t, n), fresh(t), inDirectory(t)
	d.dump(t, from.Addr())
	for _, point := range []string{"warm:selected", "warm:sent", "warm:sent#4", "warm:stored", "warm:protected"} {
		p := d.broken(point+"=kill").start(t, "warm", "load", "--memcached", to.Addr())
		if code := p.Wait(t, limit); code != killed {
			t.Fatalf("%s: %d, not killed there: %s", point, code, p.Stderr(t))
		}
		answered(t, to)
		if got := items(t, to.Addr()); got > n {
			t.Errorf("%s: %d items of %d", point, got, n)
		}
		d.want(t, 0, "warm", "load", "--memcached", to.Addr())
		same(t, from.Addr(), to.Addr(), n)
		to.Restart(t)
	}
}

// The server dies in the middle of a dump: nothing is published, and what was stays.
func TestServerDiesDuringADump(t *testing.T) {
	t.Parallel()
	const n = 3000
	from, d := filled(t, n), inDirectory(t)
	mark(t, from, 1)
	d.dump(t, from.Addr())
	p := d.broken("warm:part#1=stop").start(t, "warm", "dump", "--memcached", from.Addr(), "--scratch", d.scratch)
	at := stopped(t, p)
	from.Kill(t)
	must(t, syscall.Kill(at, syscall.SIGCONT))
	if code := p.Wait(t, limit); code != 69 {
		t.Errorf("%d: %s", code, p.Stderr(t))
	}
	if got := d.snapshots(t); got != 1 {
		t.Errorf("%d dumps, want the one before", got)
	}
	from.Start(t)
	warmtest.Fill(t, warmtest.Server(t, from.Addr()), n, warmtest.Mixed)
	if got := loadedItems(t, d); got != n+1 {
		t.Errorf("%d items of the dump before, want %d", got, n+1)
	}
}

// loadedItems is how many items the newest dump brings.
func loadedItems(t testing.TB, d *depot) int64 {
	t.Helper()
	to := fresh(t)
	d.want(t, 0, "warm", "load", "--memcached", to.Addr())
	return items(t, to.Addr())
}

// stopped waits until a process stands at its point.
func stopped(t testing.TB, p *testkit.Process) (pid int) {
	t.Helper()
	testkit.Wait(t, limit, func() (bool, string) {
		select {
		case <-p.Exited():
			t.Fatalf("it ended before it came to its point: %s", p.Stderr(t))
		default:
		}
		pid = testkit.Stopped(p.Pid())
		return pid != 0, "it does not come to its point"
	})
	return pid
}

// The server dies in the middle of a load, and comes back empty: it is loaded from the start.
func TestServerDiesDuringALoad(t *testing.T) {
	t.Parallel()
	const n = 5000
	from, to, d := filled(t, n), fresh(t), inDirectory(t)
	d.dump(t, from.Addr())
	p := d.broken("warm:sent#5=stop").start(t, "warm", "load", "--memcached", to.Addr())
	at := stopped(t, p)
	to.Kill(t)
	to.Start(t)
	must(t, syscall.Kill(at, syscall.SIGCONT))
	if code := p.Wait(t, limit); code != 0 {
		t.Fatalf("%d: %s", code, p.Stderr(t))
	}
	same(t, from.Addr(), to.Addr(), n)
}

// The store dies in the middle of a dump and of a load: the dump before stays whole, and both succeed later.
func TestStoreDies(t *testing.T) {
	t.Parallel()
	const n = 3000
	s3 := testkit.S3(t, testkit.S3Options{})
	from, d := filled(t, n), onS3(t, s3)
	mark(t, from, 1)
	d.dump(t, from.Addr())
	mark(t, from, 2)
	p := d.broken("warm:draft#1=stop").start(t, "warm", "dump", "--memcached", from.Addr(), "--scratch", d.scratch, "--budget-rate", "1000000")
	at := stopped(t, p)
	s3.Kill(t)
	must(t, syscall.Kill(at, syscall.SIGCONT))
	if code := p.Wait(t, 3*limit); code != 69 {
		t.Errorf("a dump without its store: %d %s%s", code, p.Stdout(t), p.Stderr(t))
	}
	s3.Start(t)
	if got := restored(t, d, from, n); got != "1" {
		t.Errorf("the newest dump is of state %s, want 1", got)
	}
	to := fresh(t)
	p = d.broken("warm:selected#1=stop").start(t, "warm", "load", "--memcached", to.Addr())
	at = stopped(t, p)
	s3.Kill(t)
	must(t, syscall.Kill(at, syscall.SIGCONT))
	if code := p.Wait(t, 3*limit); code == 0 {
		same(t, from.Addr(), to.Addr(), n) // it had read it all
	}
	s3.Start(t)
	d.want(t, 0, "warm", "load", "--memcached", to.Addr())
	same(t, from.Addr(), to.Addr(), n)
	d.dump(t, from.Addr())
	if got := restored(t, d, from, n); got != "2" {
		t.Errorf("the newest dump is of state %s, want 2", got)
	}
}

// The dump dies when its reader has just begun: the reader goes with it, and clients are served.
func TestKilledWhileListing(t *testing.T) {
	t.Parallel()
	from, d := listing(t), inDirectory(t)
	watch := watched(t, from, listedKey)
	p := d.broken("drain:begun=kill").start(t, "warm", "dump", "--memcached", from.Addr(), "--scratch", d.scratch)
	if code := p.Wait(t, limit); code != killed {
		t.Fatalf("%d, not killed there: %s", code, p.Stderr(t))
	}
	answered(t, from)
	watch.served(t, "a dump that was killed while it listed")
	if got := d.snapshots(t); got != 0 {
		t.Errorf("%d dumps", got)
	}
}

// listing is a server with a list that is longer than all buffers on its way.
func listing(t testing.TB) *testkit.MemcachedServer {
	t.Helper()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 256})
	warmtest.Fill(t, warmtest.Server(t, kit.Addr()), listedItems, func(i, _ int) warmtest.Item {
		return warmtest.Item{Key: listedKey(i), Value: []byte("x")}
	})
	return kit
}

const listedItems = 300_000

func listedKey(i int) []byte {
	return fmt.Appendf(nil, "a/key/that/takes/some/room/in/the/list/of/all/keys/%d", i%listedItems)
}
