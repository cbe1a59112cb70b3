package warm

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/memcached"
	"github.com/interlock-run/interlock/warm/warmtest"
)

// A watch is clients of a server that ask all the time, on connections of all its threads.
type watch struct {
	stop func() error
	key  func(int) []byte

	mu    sync.Mutex
	worst time.Duration // of an answer
	late  time.Duration // of the clients' own timers: how busy the machine is
}

const (
	clientBeat = 20 * time.Millisecond
	clientKeys = 100 // of one question
)

func watched(t testing.TB, kit *testkit.MemcachedServer, key func(int) []byte) *watch {
	t.Helper()
	w := &watch{key: key}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 8)
	for range cap(ended) {
		c, err := memcached.Dial(t.Context(), warmtest.Server(t, kit.Addr()), memcached.Options{Timeout: time.Minute})
		must(t, err)
		go func() {
			defer c.Close()
			ended <- w.client(ctx, c)
		}()
	}
	w.stop = sync.OnceValue(func() (err error) {
		cancel()
		for range cap(ended) {
			err = errors.Join(err, <-ended)
		}
		return err
	})
	t.Cleanup(func() { _ = w.stop() }) // told where it was asked for
	return w
}

func (w *watch) client(ctx context.Context, c *memcached.Conn) error {
	beat := time.NewTimer(clientBeat)
	defer beat.Stop()
	var r memcached.Reply
	for {
		asleep := time.Now()
		select {
		case <-beat.C:
		case <-ctx.Done():
			return nil
		}
		begun := time.Now()
		for range clientKeys { // so that some are behind whatever lock the server holds
			if err := c.SendGet(w.key(rand.IntN(1 << 30))); err != nil {
				return err
			}
		}
		if err := c.Flush(); err != nil {
			return err
		}
		for range clientKeys {
			if err := c.Read(&r); err != nil {
				return err
			}
		}
		w.mu.Lock()
		w.worst, w.late = max(w.worst, time.Since(begun)), max(w.late, begun.Sub(asleep)-clientBeat)
		w.mu.Unlock()
		beat.Reset(clientBeat)
	}
}

// served wants every answer within two seconds, and a busy machine's lateness.
func (w *watch) served(t testing.TB, what string) {
	t.Helper()
	must(t, w.stop())
	t.Logf("%s: slowest answer %v, timers late by %v", what, w.worst, w.late)
	if most := 2*time.Second + 10*w.late; w.worst > most {
		t.Errorf("%s: a client waited %v, want %v at most", what, w.worst, most)
	}
}

// The process that dumps stands still for long while it reads: clients do not notice, and what it makes then is
// right, lifetimes too.
func TestStoppedDump(t *testing.T) {
	t.Parallel()
	long := 4 * time.Second
	if testkit.Long() {
		long = time.Minute
	}
	const n = 5000
	from, to, d := filled(t, n), fresh(t), inDirectory(t)
	watch := watched(t, from, func(i int) []byte { return warmtest.Mixed(i%n, n).Key })
	p := d.broken("warm:part#1=stop").start(t, "warm", "dump", "--memcached", from.Addr(), "--scratch", d.scratch)
	at := stopped(t, p)
	end := time.NewTimer(long)
	defer end.Stop()
	<-end.C
	must(t, syscall.Kill(at, syscall.SIGCONT))
	if code := p.Wait(t, limit); code != 0 {
		t.Fatalf("%d: %s", code, p.Stderr(t))
	}
	watch.served(t, "a dump that stood still for "+long.String())
	d.want(t, 0, "warm", "load", "--memcached", to.Addr())
	same(t, from.Addr(), to.Addr(), n)
}

// The process that reads the list stands still, each time: it is killed each time before clients feel it for
// long, and the dump gives up.
func TestStoppedReader(t *testing.T) {
	t.Parallel()
	from, d := listing(t), inDirectory(t)
	watch := watched(t, from, listedKey)
	p := d.broken("drain:read#2=stop").start(t, "warm", "dump", "--memcached", from.Addr(), "--scratch", d.scratch)
	if code := p.Wait(t, limit); code == 0 {
		t.Errorf("a dump without a list succeeds: %s", p.Stdout(t))
	}
	watch.served(t, "readers that stood still")
	if got := d.snapshots(t); got != 0 {
		t.Errorf("%d dumps", got)
	}
	d.dump(t, from.Addr())
}

// Later versions crash when the reader of a list stalls: it is killed before that, the operator is warned, and what
// such a server lists is read.
func TestLaterVersions(t *testing.T) {
	t.Parallel()
	kit, d := listing(t), inDirectory(t)
	defective, crashed := warmtest.Later(t, kit, "1.6.30", true, 8*time.Second)
	p := d.broken("drain:read#2=stop").start(t, "warm", "dump", "--memcached", defective.Address, "--scratch", d.scratch)
	if code := p.Wait(t, limit); code == 0 || !strings.Contains(p.Stderr(t), "upgrade to 1.6.44") {
		t.Errorf("%d: %s", code, p.Stderr(t))
	}
	if crashed() {
		t.Error("a reader that stalled was left until the server crashed")
	}
	fixed, _ := warmtest.Later(t, kit, "1.6.45", false, time.Minute)
	for _, s := range []memcached.Server{defective, fixed} {
		d.dump(t, s.Address, "--budget-bytes", "1MiB")
	}
	if crashed() {
		t.Error("a dump crashed the server")
	}
	if got := d.snapshots(t); got != 2 {
		t.Errorf("%d dumps", got)
	}
}

// Clients write all the time while a load goes on: what they wrote last stays, of every key.
func TestWritesDuringALoad(t *testing.T) {
	t.Parallel()
	const n = 20_000
	from, to, d := filled(t, n), fresh(t), inDirectory(t)
	d.dump(t, from.Addr())
	p := d.start(t, "warm", "load", "--memcached", to.Addr(), "--budget-rate", "6000")
	written := map[string]int{}
	raw := newWriter(t, to)
	for round := 1; running(p); round++ {
		i := round * 7919 % n
		written["mix:"+itoa(i)] = round
		raw.set(t, "mix:"+itoa(i), itoa(round))
	}
	if code := p.Wait(t, limit); code != 0 {
		t.Fatalf("%d: %s", code, p.Stderr(t))
	}
	if len(written) < 100 {
		t.Fatalf("%d keys were written", len(written))
	}
	c, err := memcached.Dial(t.Context(), warmtest.Server(t, to.Addr()), memcached.Options{})
	must(t, err)
	defer c.Close()
	for key, round := range written {
		if r := value(t, c, key); string(r.Value) != itoa(round) {
			t.Fatalf("%s: the client wrote %d last, there is %.20q", key, round, r.Value)
		}
	}
	t.Logf("%d keys were written meanwhile", len(written))
}

func running(p *testkit.Process) bool {
	select {
	case <-p.Exited():
		return false
	default:
		return true
	}
}

// A writer is a client that stores, one item after the other.
type writer struct {
	conn net.Conn
	from *bufio.Reader
}

func newWriter(t testing.TB, kit *testkit.MemcachedServer) *writer {
	t.Helper()
	conn, err := net.Dial("tcp", kit.Addr())
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return &writer{conn, bufio.NewReader(conn)}
}

func (w *writer) set(t testing.TB, key, value string) {
	t.Helper()
	_, err := fmt.Fprintf(w.conn, "set %s 0 0 %d\r\n%s\r\n", key, len(value), value)
	must(t, err)
	line, err := w.from.ReadString('\n')
	must(t, err)
	if line != "STORED\r\n" {
		t.Fatalf("set %s: %q", key, line)
	}
}

// value is the reply to a read of one key.
func value(t testing.TB, c *memcached.Conn, key string) (r memcached.Reply) {
	t.Helper()
	must(t, c.SendGet([]byte(key)))
	must(t, c.Flush())
	must(t, c.Read(&r))
	return r
}
