package drain_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/drain"
	"github.com/interlock-run/interlock/warm/memcached"
)

func TestMain(m *testing.M) {
	switch os.Args[0] {
	case drain.Role:
		os.Exit(drain.Main())
	case listerRole:
		s, err := memcached.ParseServer(os.Args[1])
		if err == nil {
			_, err = drain.List(context.Background(), s, drain.Options{Mode: "hash", Folder: os.Args[2], Stall: 20 * time.Second})
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	testkit.MainWithMounts(m)
}

// listerRole is a process that has a list read and nothing else.
const listerRole = "test-lister"

// Who asked for the list is killed while the server says nothing: the reader ends at once, not at its deadline.
func TestReaderEndsWithItsParent(t *testing.T) {
	s := scripted(t, line, true)
	p := testkit.StartCmd(t, &exec.Cmd{Path: "/proc/self/exe", Args: []string{listerRole, s.Address, t.TempDir()}})
	var reader int
	testkit.Wait(t, 20*time.Second, func() (bool, string) {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", p.Pid(), p.Pid()))
		if err != nil {
			return false, err.Error()
		}
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.Pid()))
		must(t, err)
		for _, task := range tasks {
			if more, err := os.ReadFile(task); err == nil {
				raw = append(raw, more...)
			}
		}
		_, err = fmt.Sscan(string(raw), &reader)
		return err == nil, "no reader yet"
	})
	p.Signal(t, syscall.SIGKILL)
	testkit.Wait(t, 10*time.Second, func() (bool, string) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", reader))
		return err != nil || strings.Contains(string(stat), ") Z "), "the reader has outlived who asked for it"
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func server(t *testing.T, addr string) memcached.Server {
	t.Helper()
	s, err := memcached.ParseServer(addr)
	must(t, err)
	return s
}

// options are patient: on a busy machine a reader that is well may be late.
func options(t *testing.T, mode string) drain.Options {
	return drain.Options{Mode: mode, Folder: t.TempDir(), Stall: 20 * time.Second}
}

// fill stores n items, the first half of them read once.
func fill(t *testing.T, kit *testkit.MemcachedServer, n, valueSize int) {
	t.Helper()
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "ms key:%d %d T1000 q\r\n%s\r\n", i, valueSize, strings.Repeat("x", valueSize))
		if i < n/2 {
			fmt.Fprintf(&b, "mg key:%d q\r\n", i)
		}
	}
	kit.Ask(t, b.String()+"mn\r\n", "MN")
}

func TestListIsWhole(t *testing.T) {
	kit := testkit.Memcached(t, testkit.MemcachedOptions{})
	const n = 20_000
	fill(t, kit, n, 10)
	odd := []byte("a b\x00\xff%")
	kit.Ask(t, "ms YSBiAP8l 1 b\r\nv\r\n", "HD")
	for _, mode := range []string{"hash", "all"} {
		spool, err := drain.List(t.Context(), server(t, kit.Addr()), options(t, mode))
		must(t, err)
		defer spool.Close()
		for range 2 { // a spool can be read again
			seen, fetched, oddSeen := map[string]bool{}, 0, false
			for e, err := range spool.Entries() {
				must(t, err)
				if bytes.Equal(e.Key, odd) {
					oddSeen = e.Expires == -1
					continue
				}
				if left := e.Expires - time.Now().Unix(); left < 900 || left > 1005 || e.Size < 60 {
					t.Fatalf("%+v: expires in %d s", e, left)
				}
				seen[string(e.Key)] = true
				if e.Fetched {
					fetched++
				}
			}
			if len(seen) != n || fetched != n/2 || !oddSeen || spool.Bytes < n*60 {
				t.Errorf("%s: %d keys, %d fetched, odd key %v, %d bytes; want %d and %d", mode, len(seen), fetched, oddSeen, spool.Bytes, n, n/2)
			}
		}
	}
}

func TestWaysIn(t *testing.T) {
	tls := testkit.Memcached(t, testkit.MemcachedOptions{TLS: true})
	s := server(t, tls.Addr())
	s.TLS = &memcached.TLS{CA: tls.CA()}
	user := testkit.Memcached(t, testkit.MemcachedOptions{Unix: true, User: testkit.User{Name: "u", Password: "p"}})
	u := server(t, user.Addr())
	u.User, u.Password = "u", "p"
	for _, s := range []memcached.Server{s, u} {
		spool, err := drain.List(t.Context(), s, options(t, "hash"))
		must(t, err)
		must(t, spool.Close())
	}
}

func TestForbidden(t *testing.T) {
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Extra: []string{"-X"}})
	if _, err := drain.List(t.Context(), server(t, kit.Addr()), options(t, "hash")); !errors.Is(err, drain.ErrForbidden) {
		t.Errorf("with -X: %v, want ErrForbidden", err)
	}
	kit.Kill(t)
	if _, err := drain.List(t.Context(), server(t, kit.Addr()), options(t, "hash")); !errors.Is(err, drain.ErrLost) {
		t.Errorf("no server: %v, want ErrLost", err)
	}
}

// A folder that is full: the reader must let go of the server, not wait.
func TestNoSpace(t *testing.T) {
	kit := testkit.Memcached(t, testkit.MemcachedOptions{})
	o := options(t, "hash")
	o.Folder = "/proc"
	if _, err := drain.List(t.Context(), server(t, kit.Addr()), o); !errors.Is(err, drain.ErrSpool) {
		t.Errorf("got %v, want ErrSpool", err)
	}
}

// scripted is a server that answers the listing with text, in pieces where it has a bar; an open one says nothing more, else it closes.
func scripted(t *testing.T, text string, open bool) memcached.Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		r := bufio.NewReader(c)
		for _, answer := range []string{"VERSION 1.6.43\r\n", text} {
			if _, err := r.ReadString('\n'); err != nil {
				return
			}
			for n, piece := range strings.Split(answer, "|") {
				if n > 0 {
					<-time.After(100 * time.Millisecond) // so that it comes as a read of its own
				}
				if _, err := c.Write([]byte(piece)); err != nil {
					return
				}
			}
		}
		if open {
			_, _ = r.ReadString('\n') // until the reader closes
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return server(t, l.Addr().String())
}

const line = "key=k%3A1 exp=-1 la=1700000000 cas=18446744073709551615 fetch=no cls=1 size=70 flags=4 \n"

func TestEndings(t *testing.T) {
	for _, c := range []struct {
		text string
		open bool
		want error
	}{
		{line + "END\r\n", true, nil},
		{"OK\r\n" + line + "END\r\n", true, nil},
		{"OK\r\n|" + line + "|END\r\n", true, nil},
		{line[:30] + "|" + line[30:] + "EN|D\r|\n", true, nil},
		{"END\r\n", true, nil},
		{line, false, drain.ErrTorn},
		{line + "END", false, drain.ErrTorn},
		{line + line[:20], false, drain.ErrTorn},
		{"", false, drain.ErrTorn},
		{line, true, drain.ErrTorn},
		{line + "ERROR locked try again later\r\n", true, drain.ErrBusy},
		{"BUSY currently processing crawler request\r\n", true, drain.ErrBusy},
		{line + "|" + line[20:] + "|" + line + "END\r\n", true, drain.ErrTorn},
		{"ERROR\r\n", true, drain.ErrForbidden},
		{"CLIENT_ERROR lru crawler disabled\r\n", true, drain.ErrForbidden},
	} {
		o := options(t, "hash")
		o.Silent = 3 * time.Second
		spool, err := drain.List(t.Context(), scripted(t, c.text, c.open), o)
		if !errors.Is(err, c.want) {
			t.Errorf("%q: %v, want %v", c.text, err, c.want)
		}
		if err == nil {
			must(t, spool.Close())
		}
	}
}

// Lines that grew together or were cut, as 1.6.19 to 1.6.43 send after a stall, are never taken for items.
func TestTornLines(t *testing.T) {
	for text, torn := range map[string]int{
		line + line:                                                                 0,
		"key=a exp=-1 la=17000" + line + line:                                       1,
		"exp=-1 la=1 cas=1 fetch=no cls=1 size=1\n" + line:                          1,
		"key= exp=-1 la=1 cas=1 fetch=no cls=1 size=1\n" + line:                     1,
		"key=%4 exp=-1 la=1 cas=1 fetch=no cls=1 size=1\n" + line:                   1,
		"key=" + strings.Repeat("k", 251) + " exp=-1 la=1 fetch=no size=1\n" + line: 1,
		"key=k exp=-7 la=1 fetch=no size=1\nkey=k exp=1 la=x fetch=no size=1\n\n":   3,
	} {
		spool, err := drain.List(t.Context(), scripted(t, text+"END\r\n", true), options(t, "hash"))
		must(t, err)
		bad := 0
		for e, err := range spool.Entries() {
			if errors.Is(err, drain.ErrTorn) {
				bad++
			} else if must(t, err); string(e.Key) != "k:1" {
				t.Errorf("%q gave item %q", text, e.Key)
			}
		}
		must(t, spool.Close())
		if bad != torn {
			t.Errorf("%q: %d torn lines, want %d", text, bad, torn)
		}
	}
}

// readerOf finds the reader's process among our children, once it has read some of a list.
func readerOf(t *testing.T) (pid int, word string) {
	t.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*/children")
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
			var read int64
			_, err = fmt.Sscanf(string(raw), "rchar: %d", &read)
			must(t, err)
			if read < 200_000 {
				return 0, fmt.Sprintf("it has read %d bytes", read)
			}
			pid, err = strconv.Atoi(field)
			must(t, err)
			return pid, ""
		}
	}
	return 0, "there is none"
}

// The reader is stopped in the middle of a list: all clients of 1.6.18 hang then, and are served again after
// about a second, because the reader is killed.
func TestStoppedReaderFreesTheServer(t *testing.T) {
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 512})
	const n = 600_000 // more than all buffers on the way take
	fill(t, kit, n, 1)
	o := options(t, "hash")
	o.Stall = time.Second
	failed := make(chan error, 1)
	go func() {
		spool, err := drain.List(t.Context(), server(t, kit.Addr()), o)
		if err == nil {
			err = errors.Join(errors.New("the list was whole"), spool.Close())
		}
		failed <- err
	}()
	var pid int
	testkit.Wait(t, 30*time.Second, func() (bool, string) {
		var word string
		pid, word = readerOf(t)
		return pid != 0, word
	})
	must(t, syscall.Kill(pid, syscall.SIGSTOP))
	stopped := time.Now()
	err := testkit.Recv(t, 20*time.Second, "the end of the stopped reader", failed)
	if !errors.Is(err, drain.ErrStalled) {
		t.Fatalf("got %v, want ErrStalled", err)
	}
	must(t, serves(t, server(t, kit.Addr()), 20*time.Second))
	t.Logf("served again %v after the stop", time.Since(stopped).Round(10*time.Millisecond))
	if took := time.Since(stopped); took > 30*time.Second { // the server itself would wait for minutes
		t.Errorf("all clients were served again after %v, want about 1 s", took)
	}
}
