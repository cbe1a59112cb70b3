package memcached_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/memcached"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func dial(t *testing.T, s memcached.Server) *memcached.Conn {
	t.Helper()
	c, err := memcached.Dial(t.Context(), s, memcached.Options{Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func server(t *testing.T, addr string) memcached.Server {
	t.Helper()
	s, err := memcached.ParseServer(addr)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// one sends what queue queues and gives the only reply.
func one(t *testing.T, c *memcached.Conn, queue func() error) memcached.Reply {
	t.Helper()
	must(t, queue())
	must(t, c.Flush())
	var r memcached.Reply
	must(t, c.Read(&r))
	return r
}

// add stores, and gives what came before the end of the window.
func add(t *testing.T, c *memcached.Conn, key, value []byte, flags uint32, e memcached.Expiry) (r memcached.Reply) {
	t.Helper()
	must(t, c.SendAdd(key, value, flags, e))
	r = one(t, c, c.SendNoop)
	if r.Status != memcached.End {
		var end memcached.Reply
		must(t, c.Read(&end))
		if end.Status != memcached.End {
			t.Fatalf("a second answer to one store: %+v", end)
		}
	}
	return r
}

func TestWays(t *testing.T) {
	for _, c := range []struct {
		name string
		o    testkit.MemcachedOptions
	}{
		{"tcp", testkit.MemcachedOptions{}},
		{"unix", testkit.MemcachedOptions{Unix: true}},
		{"tls", testkit.MemcachedOptions{TLS: true}},
		{"auth", testkit.MemcachedOptions{User: testkit.User{Name: "warm", Password: "p:w"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			kit := testkit.Memcached(t, c.o)
			s := server(t, kit.Addr())
			s.User, s.Password = c.o.User.Name, c.o.User.Password
			if c.o.TLS {
				s.TLS = &memcached.TLS{CA: kit.CA()}
			}
			conn := dial(t, s)
			if conn.Version().String() != kit.Version {
				t.Errorf("version %s, want %s", conn.Version(), kit.Version)
			}
			must(t, conn.Ping())
			if r := add(t, conn, []byte("k"), []byte("v"), 7, memcached.Expiry{}); r.Status != memcached.End {
				t.Errorf("not stored: %+v", r)
			}
			r := one(t, conn, func() error { return conn.SendGet([]byte("k")) })
			if r.Status != memcached.Value || string(r.Value) != "v" || r.Flags != 7 || r.Left != -1 || r.CAS == 0 {
				t.Errorf("got %+v", r)
			}
		})
	}
}

func TestAuthenticationRefused(t *testing.T) {
	kit := testkit.Memcached(t, testkit.MemcachedOptions{User: testkit.User{Name: "warm", Password: "right"}})
	for _, user := range []string{"", "warm"} {
		s := server(t, kit.Addr())
		s.User, s.Password = user, "wrong"
		if _, err := memcached.Dial(t.Context(), s, memcached.Options{}); !errors.Is(err, memcached.ErrAuth) {
			t.Errorf("user %q: %v, want ErrAuth", user, err)
		}
	}
	s := server(t, kit.Addr())
	s.User, s.Password = "warm\r\nflush_all\r\n", "x"
	if _, err := memcached.Dial(t.Context(), s, memcached.Options{}); err == nil || errors.Is(err, memcached.ErrAuth) {
		t.Errorf("a user with line breaks: %v, want a refusal before it is sent", err)
	}
}

// A certificate of another authority, and a server without TLS, are no connection that was lost: to try again is no use.
func TestTLSRefused(t *testing.T) {
	secure, plain := testkit.Memcached(t, testkit.MemcachedOptions{TLS: true}), testkit.Memcached(t, testkit.MemcachedOptions{})
	for addr, ca := range map[string]string{secure.Addr(): testkit.NewPKI(t).CA(), plain.Addr(): secure.CA()} {
		s := server(t, addr)
		s.TLS = &memcached.TLS{CA: ca}
		if _, err := memcached.Dial(t.Context(), s, memcached.Options{}); !errors.Is(err, memcached.ErrTLS) || errors.Is(err, memcached.ErrLost) {
			t.Errorf("%v, want ErrTLS", err)
		}
	}
}

func TestBinaryOnlyIsSaid(t *testing.T) {
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Extra: []string{"-B", "binary"}})
	_, err := memcached.Dial(t.Context(), server(t, kit.Addr()), memcached.Options{Timeout: time.Second})
	if !errors.Is(err, memcached.ErrBinaryOnly) {
		t.Errorf("got %v, want ErrBinaryOnly", err)
	}
}

// A connection that is lost while it is greeted says nothing of what the server speaks.
func TestLostGreetingIsNoBinaryServer(t *testing.T) {
	kit := testkit.Memcached(t, testkit.MemcachedOptions{})
	proxy := testkit.NewProxy(t, kit.Addr())
	proxy.CutNextReply()
	if _, err := memcached.Dial(t.Context(), server(t, proxy.Addr()), memcached.Options{}); !errors.Is(err, memcached.ErrLost) || errors.Is(err, memcached.ErrBinaryOnly) {
		t.Errorf("got %v, want ErrLost", err)
	}
}

func TestLostIsSaid(t *testing.T) {
	kit := testkit.Memcached(t, testkit.MemcachedOptions{})
	c := dial(t, server(t, kit.Addr()))
	kit.Kill(t)
	if err := c.Ping(); !errors.Is(err, memcached.ErrLost) {
		t.Errorf("after kill -9: %v, want ErrLost", err)
	}
	if _, err := memcached.Dial(t.Context(), server(t, kit.Addr()), memcached.Options{}); !errors.Is(err, memcached.ErrLost) {
		t.Errorf("no server: %v, want ErrLost", err)
	}
	kit.Start(t)
	kit.Pause(t)
	c, err := memcached.Dial(t.Context(), server(t, kit.Addr()), memcached.Options{Timeout: 200 * time.Millisecond})
	if !errors.Is(err, memcached.ErrLost) {
		t.Errorf("stopped server: %v %v, want ErrLost", c, err)
	}
}

// Every key that can be sent is stored under exactly its bytes, every other one is refused before it is sent.
func TestKeys(t *testing.T) {
	kit := testkit.Memcached(t, testkit.MemcachedOptions{})
	c := dial(t, server(t, kit.Addr()))
	var all []byte
	for b := range 256 {
		all = append(all, byte(b))
	}
	for i, key := range [][]byte{[]byte("k"), all[:186], all[70:], all[128:], []byte("a b"), {0}, []byte("\r\n"), {0x7f},
		bytes.Repeat([]byte("k"), 250), bytes.Repeat([]byte{' '}, 186), []byte("ключ")} {
		value := []byte(fmt.Sprint("value ", i))
		if r := add(t, c, key, value, 0, memcached.Expiry{}); r.Status != memcached.End {
			t.Errorf("key %q: %+v %v", key, r, r.Err)
		}
		r := one(t, c, func() error { return c.SendGet(key) })
		if !bytes.Equal(r.Value, value) {
			t.Errorf("key %q: got %q, want %q", key, r.Value, value)
		}
	}
	for _, key := range [][]byte{nil, bytes.Repeat([]byte("k"), 251), bytes.Repeat([]byte{' '}, 187)} {
		for name, err := range map[string]error{"get": c.SendGet(key), "touch": c.SendTouch(key), "give back": c.SendGiveBack(key, 1),
			"add": c.SendAdd(key, []byte("flush_all\r\n"), 0, memcached.Expiry{})} {
			if !errors.Is(err, memcached.ErrKey) {
				t.Errorf("%s of %d bytes: %v, want ErrKey", name, len(key), err)
			}
		}
	}
	must(t, c.Ping())
}

func TestAddKeepsWhatIsThere(t *testing.T) {
	kit := testkit.Memcached(t, testkit.MemcachedOptions{})
	c := dial(t, server(t, kit.Addr()))
	kit.Ask(t, "set k 1 0 3\r\nnew\r\n", "STORED")
	if r := add(t, c, []byte("k"), []byte("old"), 2, memcached.Expiry{}); r.Status != memcached.Exists {
		t.Errorf("got %+v, want Exists", r)
	}
	if r := one(t, c, func() error { return c.SendGet([]byte("k")) }); string(r.Value) != "new" || r.Flags != 1 {
		t.Errorf("a client's value was replaced: %+v", r)
	}
}

func TestRefusalsKeepTheStreamInStep(t *testing.T) {
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Extra: []string{"-M"}})
	c := dial(t, server(t, kit.Addr()))
	r := add(t, c, []byte("big"), make([]byte, 2<<20), 0, memcached.Expiry{})
	if r.Status != memcached.Refused || !errors.Is(r.Err, memcached.ErrTooLarge) {
		t.Errorf("2 MiB: %+v, want ErrTooLarge", r)
	}
	for _, size := range []int{1000_000, 10_000} {
		full := false
		for i := range 80_000_000 / size {
			r := add(t, c, fmt.Appendf(nil, "%d-%d", size, i), make([]byte, size), 0, memcached.Expiry{})
			if full = r.Status == memcached.Refused && errors.Is(r.Err, memcached.ErrOutOfMemory); full {
				break
			}
		}
		if !full {
			t.Errorf("80 MB of values of %d bytes in 64 MiB without evictions: want ErrOutOfMemory", size)
		}
	}
	must(t, c.Ping())
}

func TestLifetimes(t *testing.T) {
	const now = 1_800_000_000
	for at, want := range map[int64]string{now - 5: "expired", now: "expired", now + 1: "{1800000001}", now + 2592001: "{1802592001}",
		1 << 33: "{2147483647}", 0: "expired"} {
		e, err := memcached.ExpireAt(now, at)
		got := fmt.Sprint(e)
		if errors.Is(err, memcached.ErrExpired) {
			got = "expired"
		}
		if got != want {
			t.Errorf("end at now%+d: %s, want %s", at-now, got, want)
		}
	}
}

// A server whose clock stands near 1970 would take a point in time for a number of seconds.
func TestLifetimeOfAServerWithoutAClock(t *testing.T) {
	if e, err := memcached.ExpireAt(1000, 5000); err != nil || fmt.Sprint(e) != "{4000}" {
		t.Errorf("got %v %v, want {4000}", e, err)
	}
}

// Reading for a dump must not make an item look used, and a touch must.
func TestOnlyTouchUses(t *testing.T) {
	kit := testkit.Memcached(t, testkit.MemcachedOptions{})
	c := dial(t, server(t, kit.Addr()))
	kit.Ask(t, "set k 0 0 1\r\nv\r\n", "STORED")
	one(t, c, func() error { return c.SendGet([]byte("k")) })
	if line := strings.Join(kit.Ask(t, "mg k h\r\n", "HD"), " "); line != "HD h0" {
		t.Errorf("after a read: %q, want HD h0", line)
	}
	kit.Ask(t, "set k 0 0 1\r\nv\r\n", "STORED")
	if r := one(t, c, func() error { return c.SendTouch([]byte("k")) }); r.Status != memcached.Done {
		t.Errorf("touch: %+v", r)
	}
	if line := strings.Join(kit.Ask(t, "mg k h u\r\n", "HD"), " "); line != "HD h1" {
		t.Errorf("after a touch: %q, want HD h1", line)
	}
}

// A reader takes the token of a stale item; given back, the next client gets it.
func TestTokenIsGivenBack(t *testing.T) {
	kit := testkit.Memcached(t, testkit.MemcachedOptions{})
	c := dial(t, server(t, kit.Addr()))
	kit.Ask(t, "set k 0 0 1\r\nv\r\nmd k I\r\n", "HD")
	r := one(t, c, func() error { return c.SendGet([]byte("k")) })
	if !r.Stale || !r.Won {
		t.Fatalf("got %+v, want a stale item and its token", r)
	}
	if back := one(t, c, func() error { return c.SendGiveBack([]byte("k"), r.CAS+100) }); back.Status != memcached.Exists {
		t.Errorf("another cas: %+v, want Exists", back)
	}
	if back := one(t, c, func() error { return c.SendGiveBack([]byte("k"), r.CAS) }); back.Status != memcached.Done {
		t.Errorf("give back: %+v", back)
	}
	if line := strings.Join(kit.Ask(t, "mg k t\r\n", "HD"), " "); !strings.Contains(line, "W") {
		t.Errorf("the next client gets %q, want the token W", line)
	}
}

func TestStateAndSettings(t *testing.T) {
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 32, Extra: []string{"-M", "-X", "-C"}})
	c := dial(t, server(t, kit.Addr()))
	kit.Ask(t, "set k 0 0 1\r\nv\r\n", "STORED")
	st, err := c.State()
	must(t, err)
	if st.PID != int64(kit.Pid()) || st.Items != 1 || st.Limit != 32<<20 || st.Stores != 1 || st.Evictions != 0 {
		t.Errorf("state %+v", st)
	}
	if d := time.Now().Unix() - st.Time; d < -3 || d > 3 {
		t.Errorf("the server's clock is %d s off", d)
	}
	set, err := c.Settings()
	must(t, err)
	if set.MaxBytes != 32<<20 || set.ItemSizeMax != 1<<20 || set.Evicts || set.Dumping || set.CAS || set.GrowthFactor != 1.25 {
		t.Errorf("settings %+v", set)
	}
}

func TestClock(t *testing.T) {
	kit := testkit.Memcached(t, testkit.MemcachedOptions{})
	c := dial(t, server(t, kit.Addr()))
	k, err := c.Clock(t.Context())
	must(t, err)
	for range 20 {
		before := k.Now(time.Now())
		st, err := c.State()
		must(t, err)
		if after := k.Now(time.Now()); st.Time < before-1 || st.Time > after+1 {
			t.Errorf("the server shows %d, computed %d to %d", st.Time, before, after)
		}
	}
	if k.Ahead() < -2 || k.Ahead() > 1 || k.Server(k.Host(1_800_000_000)) != 1_800_000_000 {
		t.Errorf("ahead by %d", k.Ahead())
	}
}
