package dump_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/drain"
	"github.com/interlock-run/interlock/warm/dump"
	"github.com/interlock-run/interlock/warm/item"
	"github.com/interlock-run/interlock/warm/warmtest"
)

// start runs a dump as a process of its own.
func start(t *testing.T, o dump.Options) *testkit.Process {
	t.Helper()
	arg, err := json.Marshal(o)
	must(t, err)
	return testkit.StartCmd(t, &exec.Cmd{Path: "/proc/self/exe", Args: []string{dumperRole, string(arg)}})
}

// served asks for an item on many connections, so on every worker thread of the server, and gives the longest
// answer.
func served(t *testing.T, kit *testkit.MemcachedServer) (worst time.Duration) {
	t.Helper()
	for range 8 {
		begun := time.Now()
		kit.Ask(t, "mg mix:1 v\r\nmn\r\n", "MN")
		worst = max(worst, time.Since(begun))
	}
	return worst
}

// The process that fetches is stopped in the middle for long: clients do not notice, and the dump is whole.
func TestStoppedFetcherHurtsNobody(t *testing.T) {
	t.Parallel()
	long := 4 * time.Second
	if testkit.Long() {
		long = time.Minute
	}
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 128})
	const n = 20_000
	warmtest.Fill(t, warmtest.Server(t, kit.Addr()), n, warmtest.Mixed)
	o := options(t, warmtest.Server(t, kit.Addr()))
	o.Rate = 20_000
	p := start(t, o)
	testkit.Wait(t, 30*time.Second, func() (bool, string) {
		parts, err := filepath.Glob(filepath.Join(o.Dir, "band-*", "*.items"))
		return err == nil && len(parts) > 0, "it does not read yet"
	})
	p.Signal(t, syscall.SIGSTOP)
	var worst time.Duration
	until := time.NewTimer(long)
	defer until.Stop()
	for stopped := true; stopped; {
		worst = max(worst, served(t, kit))
		select {
		case <-until.C:
			stopped = false
		default:
		}
	}
	p.Signal(t, syscall.SIGCONT)
	if code := p.Wait(t, 2*time.Minute); code != 0 {
		t.Fatalf("code %d: %s", code, p.Stderr(t))
	}
	t.Logf("slowest answer while it stood for %v: %v", long, worst)
	if worst > 2*time.Second+testkit.Busy(t) {
		t.Errorf("a client waited for %v", worst)
	}
	if all := items(t, o.Dir); len(all) != n {
		t.Errorf("%d items, want %d", len(all), n)
	}
}

// The process that reads the list is stopped in its middle: it is killed, clients are served again, and the
// next one brings the whole list.
func TestStoppedListingIsMadeAgain(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 512})
	const n = 400_000 // more than all buffers on the way take
	warmtest.Fill(t, warmtest.Server(t, kit.Addr()), n, func(i, n int) warmtest.Item {
		it := warmtest.Mixed(i*50, n) // short keys, of plain bytes
		it.Value = it.Value[:min(len(it.Value), 8)]
		return it
	})
	o := options(t, warmtest.Server(t, kit.Addr()))
	o.Drain.Stall = time.Second
	p := start(t, o)
	var reader int
	testkit.Wait(t, 30*time.Second, func() (bool, string) {
		reader = readerOf(t, p.Pid())
		return reader != 0, "no reader is at work yet"
	})
	must(t, syscall.Kill(reader, syscall.SIGSTOP))
	stopped := time.Now()
	testkit.Wait(t, 20*time.Second, func() (bool, string) {
		return syscall.Kill(reader, 0) == syscall.ESRCH, "the stopped reader is there"
	})
	served(t, kit)
	t.Logf("served again %v after the stop", time.Since(stopped).Round(10*time.Millisecond))
	if code := p.Wait(t, 3*time.Minute); code != 0 || !strings.Contains(p.Stderr(t), "stalled") {
		t.Fatalf("code %d: %s", code, p.Stderr(t))
	}
	if all := items(t, o.Dir); len(all) != n {
		t.Errorf("%d items, want %d", len(all), n)
	}
}

// The dump dies while its list is read: the reader ends with it, the server is free, and nothing was made.
func TestKilledDumpLetsGo(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 512})
	const n = 300_000
	warmtest.Fill(t, warmtest.Server(t, kit.Addr()), n, func(i, n int) warmtest.Item {
		it := warmtest.Mixed(i*50, n)
		it.Value = it.Value[:min(len(it.Value), 8)]
		return it
	})
	o := options(t, warmtest.Server(t, kit.Addr()))
	p := start(t, o)
	var reader int
	testkit.Wait(t, 30*time.Second, func() (bool, string) {
		reader = readerOf(t, p.Pid())
		return reader != 0, "no reader is at work yet"
	})
	p.Signal(t, syscall.SIGKILL)
	testkit.Wait(t, 20*time.Second, func() (bool, string) {
		return syscall.Kill(reader, 0) == syscall.ESRCH || zombie(reader), "the reader has outlived the dump"
	})
	served(t, kit)
	if _, err := item.Open(o.Dir); !errors.Is(err, item.ErrNoCache) {
		t.Errorf("it left %v", err)
	}
	_, err := dump.Dump(t.Context(), o) // the lock went with the process
	must(t, err)
}

func zombie(pid int) bool {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(raw), ") Z ")
}

// Values up to what a server takes with -I are dumped whole; beyond the dump's own limit they are counted.
func TestLargeValues(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 256, Extra: []string{"-I", "64m"}})
	of := func(i, n int) warmtest.Item {
		return warmtest.Item{Key: fmt.Appendf(nil, "large:%d", i), Value: bytes.Repeat([]byte{byte('a' + i)}, 7_000_000*(i+1))}
	}
	warmtest.Fill(t, warmtest.Server(t, kit.Addr()), 5, of)
	o := options(t, warmtest.Server(t, kit.Addr()))
	r, err := dump.Dump(t.Context(), o)
	must(t, err)
	all := items(t, o.Dir)
	for i := range 4 {
		if want := of(i, 5); !bytes.Equal(all[string(want.Key)].Value, want.Value) {
			t.Errorf("value of %d bytes: got %d", len(want.Value), len(all[string(want.Key)].Value))
		}
	}
	if r.Cache.Counts.TooLarge != 1 || len(all) != 4 {
		t.Errorf("%d items, counts %+v", len(all), r.Cache.Counts)
	}
}

// Somebody else's listing stands still: no second crawler command goes out beside it, which would hang worker
// threads, and the dump goes on once it has ended.
func TestForeignListingIsWaitedFor(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 512})
	const n = 300_000
	warmtest.Fill(t, warmtest.Server(t, kit.Addr()), n, func(i, n int) warmtest.Item {
		it := warmtest.Mixed(i*50, n)
		it.Value = it.Value[:min(len(it.Value), 8)]
		return it
	})
	other, err := net.Dial("tcp", kit.Addr())
	must(t, err)
	defer other.Close()
	must(t, other.(*net.TCPConn).SetReadBuffer(4096))
	_, err = other.Write([]byte("lru_crawler metadump all\r\n"))
	must(t, err)
	testkit.Wait(t, 20*time.Second, func() (bool, string) {
		return slices.Contains(kit.Ask(t, "stats\r\n", "END"), "STAT lru_crawler_running 1"), "the crawler rests"
	})
	o := options(t, warmtest.Server(t, kit.Addr()))
	ended := make(chan error, 1)
	go func() {
		_, err := dump.Dump(t.Context(), o)
		ended <- err
	}()
	pause := time.NewTimer(3 * time.Second)
	defer pause.Stop()
	for waiting := true; waiting; {
		served(t, kit)
		select {
		case err := <-ended:
			t.Fatalf("the dump ended beside another listing: %v", err)
		case <-pause.C:
			waiting = false
		default:
		}
	}
	must(t, other.Close())
	must(t, testkit.Recv(t, 2*time.Minute, "the end of the dump", ended))
	if all := items(t, o.Dir); len(all) != n {
		t.Errorf("%d items, want %d", len(all), n)
	}
}

// readerOf finds the reader of a dump once it has read some of the list.
func readerOf(t *testing.T, dump int) int {
	t.Helper()
	tasks, err := filepath.Glob("/proc/" + strconv.Itoa(dump) + "/task/*/children")
	must(t, err)
	for _, task := range tasks {
		raw, err := os.ReadFile(task)
		if err != nil {
			continue // the thread ended
		}
		for _, field := range strings.Fields(string(raw)) {
			line, err := os.ReadFile("/proc/" + field + "/cmdline")
			if err != nil || !strings.HasPrefix(string(line), drain.Role+"\x00") {
				continue
			}
			raw, err := os.ReadFile("/proc/" + field + "/io")
			if err != nil {
				continue // it has ended
			}
			read, err := strconv.Atoi(strings.Fields(string(raw))[1])
			must(t, err)
			if pid, err := strconv.Atoi(field); err == nil && read > 200_000 {
				return pid
			}
		}
	}
	return 0
}
