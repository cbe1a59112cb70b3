package warm

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/memcached"
	"github.com/interlock-run/interlock/warm/warmtest"
)

// A server's items come into a fresh one through each kind of store, as they were: a million in the long form.
func TestThroughTheStore(t *testing.T) {
	many := 100_000
	if testkit.Long() {
		many = 1_000_000
	}
	for _, c := range []struct {
		name  string
		place func(testing.TB) *depot
		n     int
	}{{"directory", inDirectory, many}, {"S3", inS3, 20_000}, {"encrypted", encrypted, 20_000}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			from, d := filled(t, c.n), c.place(t)
			to := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: roomy(c.n)})
			d.dump(t, from.Addr())
			out := d.want(t, 0, "warm", "show", "--expiry")
			if !strings.Contains(out, itoa(c.n)+" items") || !strings.Contains(out, itoa(c.n/5)+" for ever") {
				t.Errorf("show: %s", out)
			}
			d.want(t, 0, "warm", "load", "--memcached", to.Addr())
			same(t, from.Addr(), to.Addr(), c.n)
			if c.name == "encrypted" {
				sealed(t, d)
			}
		})
	}
}

// sealed wants nothing of what was dumped to be read in the store, and no load without the identity.
func sealed(t testing.TB, d *depot) {
	t.Helper()
	files := 0
	must(t, filepath.WalkDir(filepath.Join(d.dir, "store"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		if files++; bytes.Contains(raw, []byte("interlock-cache")) || bytes.Contains(raw, []byte("mix:")) {
			t.Errorf("%s can be read", path)
		}
		return err
	}))
	if files < 3 {
		t.Errorf("%d files", files)
	}
	to, blind := fresh(t), *d
	blind.env = nil
	blind.want(t, 77, "warm", "load", "--memcached", to.Addr())
	if got := items(t, to.Addr()); got != 0 {
		t.Errorf("%d items without an identity", got)
	}
}

// The newest dumps stay, and a dump that was killed leaves neither a snapshot nor files behind for long.
func TestKilledDump(t *testing.T) {
	t.Parallel()
	const n = 5000
	from, d := filled(t, n), inDirectory(t)
	p := d.start(t, "warm", "dump", "--memcached", from.Addr(), "--scratch", d.scratch, "--budget-rate", "500")
	testkit.Wait(t, limit, func() (bool, string) {
		parts, err := filepath.Glob(filepath.Join(d.scratch, "*", "content", "band-*", "*"))
		must(t, err)
		return len(parts) > 0, "the dump has not begun"
	})
	p.Signal(t, syscall.SIGKILL)
	p.Wait(t, limit)
	if got := d.snapshots(t); got != 0 {
		t.Errorf("%d snapshots of a killed dump", got)
	}
	for range 3 {
		d.dump(t, from.Addr())
	}
	if got := d.snapshots(t); got != 2 {
		t.Errorf("%d snapshots after three dumps: want 2", got)
	}
	left, err := os.ReadDir(d.scratch)
	must(t, err)
	for _, e := range left {
		if e.IsDir() {
			t.Errorf("%s was left by the killed dump", e.Name())
		}
	}
}

// A load that is killed has done no harm: the next one fills in what is missing.
func TestKilledLoad(t *testing.T) {
	t.Parallel()
	const n = 10_000
	from, to, d := filled(t, n), fresh(t), inDirectory(t)
	d.dump(t, from.Addr())
	p := d.start(t, "warm", "load", "--memcached", to.Addr(), "--budget-rate", "2000")
	testkit.Wait(t, limit, func() (bool, string) { return items(t, to.Addr()) > 1000, "nothing is loaded yet" })
	p.Signal(t, syscall.SIGKILL)
	p.Wait(t, limit)
	if got := items(t, to.Addr()); got >= n {
		t.Fatalf("%d items: the kill came too late", got)
	}
	d.want(t, 0, "warm", "load", "--memcached", to.Addr())
	same(t, from.Addr(), to.Addr(), n)
}

// What a client writes while the load goes on stays; with --in-use the first delete ends the load.
func TestClientsDuringALoad(t *testing.T) {
	t.Parallel()
	const n = 10_000
	from, to, d := filled(t, n), fresh(t), inDirectory(t)
	d.dump(t, from.Addr())
	p := d.start(t, "warm", "load", "--memcached", to.Addr(), "--budget-rate", "2000", "--in-use", "--json")
	testkit.Wait(t, limit, func() (bool, string) { return items(t, to.Addr()) > 500, "nothing is loaded yet" })
	var text strings.Builder
	for i := range 200 { // some are loaded already, some are not
		text.WriteString("set mix:" + itoa(i*50) + " 7 0 5\r\nours!\r\n")
	}
	to.Ask(t, text.String()+"mn\r\n", "MN")
	at := items(t, to.Addr())
	to.Ask(t, "delete mix:3\r\nmn\r\n", "MN")
	if code := p.Wait(t, limit); code != 0 {
		t.Fatalf("%d: %s", code, p.Stderr(t))
	}
	r := result[struct {
		Loaded  int64
		Stopped string
	}](t, p.Stdout(t))
	if !strings.Contains(r.Stopped, "delete") || r.Loaded > at+2000 {
		t.Errorf("%+v with %d items at the delete", r, at)
	}
	c, err := memcached.Dial(t.Context(), warmtest.Server(t, to.Addr()), memcached.Options{})
	must(t, err)
	defer c.Close()
	for i := range 200 {
		must(t, c.SendGet([]byte("mix:"+itoa(i*50))))
	}
	must(t, c.Flush())
	for i := range 200 {
		var reply memcached.Reply
		must(t, c.Read(&reply))
		if string(reply.Value) != "ours!" || reply.Flags != 7 {
			t.Fatalf("key %d: the client's value is lost: %+v", i*50, reply)
		}
	}
}

// A ring grows: the new node takes its share of the dumps of the others, from their own stores.
func TestRing(t *testing.T) {
	t.Parallel()
	const n = 9000
	d := inDirectory(t)
	old := []string{"--node", "cache1:11211", "--node", "cache2:11211"}
	servers := ringServers(t, n)
	for i, s := range servers {
		d.dump(t, s, "--self", "cache"+itoa(i+1)+":11211")
	}
	out := d.want(t, 0, append([]string{"warm", "ring", "verify", "--ring", "auto"}, old...)...)
	if !strings.Contains(strings.Split(out, "\n")[1], "100.0 %") || !strings.Contains(strings.Split(out, "\n")[1], "mcrouter-ch3") {
		t.Errorf("%s", out)
	}
	d.want(t, 78, append([]string{"warm", "ring", "verify", "--ring", "gomemcache"}, old...)...)
	third := fresh(t)
	// The nodes in another order are another ring, and the dumps say so.
	d.want(t, 78, "warm", "load", "--memcached", third.Addr(), "--self", "cache3:11211", "--ring", "auto", "--node", "cache2:11211", "--node", "cache1:11211", "--node", "cache3:11211")
	if got := items(t, third.Addr()); got != 0 {
		t.Fatalf("%d items of a ring that fits nothing", got)
	}
	all := append([]string{"warm", "load", "--memcached", third.Addr(), "--self", "cache3:11211", "--json", "--ring", "auto"}, append(old, "--node", "cache3:11211")...)
	r := result[struct {
		Loaded  int64
		NotOurs int64 `json:"not_ours"`
	}](t, d.want(t, 0, all...))
	if r.Loaded != ringShare(t, n) || r.Loaded+r.NotOurs != n {
		t.Errorf("%+v: want %d", r, ringShare(t, n))
	}
}

// A server without the text protocol can never be dumped: the check of the configuration says so. One that is
// not there yet is none of its matter.
func TestBinaryOnly(t *testing.T) {
	t.Parallel()
	d := inDirectory(t)
	binary := testkit.Memcached(t, testkit.MemcachedOptions{Extra: []string{"-B", "binary"}})
	check := []string{"check-config", "--lock", "file:///srv/lock", "--warm-memcached"}
	p := d.start(t, append(check, binary.Addr())...)
	if code := p.Wait(t, limit); code != 78 || !strings.Contains(p.Stderr(t), "binary") {
		t.Errorf("%d: %s", code, p.Stderr(t))
	}
	text := fresh(t)
	d.want(t, 0, append(check, text.Addr())...)
	text.Kill(t)
	d.want(t, 0, append(check, text.Addr())...)
}

// Authentication and TLS: the password comes from a file alone.
func TestUserAndTLS(t *testing.T) {
	t.Parallel()
	d := inDirectory(t)
	kit := testkit.Memcached(t, testkit.MemcachedOptions{User: testkit.User{Name: "u", Password: "secret"}})
	file := filepath.Join(d.dir, "password")
	must(t, os.WriteFile(file, []byte("secret\n"), 0o600))
	d.want(t, 77, "warm", "dump", "--memcached", kit.Addr(), "--scratch", d.scratch)
	d.dump(t, kit.Addr(), "--user", "u", "--password-file", file)
	secure := testkit.Memcached(t, testkit.MemcachedOptions{TLS: true})
	d.dump(t, secure.Addr(), "--ca", secure.CA())
	if got := d.snapshots(t); got != 2 {
		t.Errorf("%d dumps", got)
	}
}
