package warm

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// counted is what tests read of `warm load --json`.
type counted struct {
	Loaded  int64
	Exists  int64
	Resumed int64
	Dumps   []string
	Stopped string
}

// cut is a load that is killed once there is progress to go on with.
func (d *depot) cut(t testing.TB, server string) {
	t.Helper()
	p := d.start(t, "warm", "load", "--memcached", server, "--scratch", d.scratch, "--budget-rate", "2000")
	testkit.Wait(t, limit, func() (bool, string) {
		found, err := filepath.Glob(filepath.Join(d.scratch, "*.progress"))
		must(t, err)
		return len(found) > 0 && items(t, server) > 5000, "nothing is loaded yet"
	})
	p.Signal(t, syscall.SIGKILL)
	p.Wait(t, limit)
}

// A load that was killed is gone on with; not so into a server that has restarted since.
func TestLoadGoesOn(t *testing.T) {
	t.Parallel()
	const n = 10_000
	from, to, d := filled(t, n), fresh(t), inDirectory(t)
	d.dump(t, from.Addr())
	load := []string{"warm", "load", "--memcached", to.Addr(), "--scratch", d.scratch, "--json"}
	d.cut(t, to.Addr())
	r := result[counted](t, d.want(t, 0, load...))
	if r.Resumed < 1000 || r.Resumed+r.Loaded+r.Exists != n {
		t.Errorf("%+v", r)
	}
	same(t, from.Addr(), to.Addr(), n)
	left, err := os.ReadDir(d.scratch)
	must(t, err)
	if len(left) > 0 {
		t.Errorf("%v is left", left)
	}
	to.Restart(t)
	d.cut(t, to.Addr())
	to.Restart(t)
	if r := result[counted](t, d.want(t, 0, load...)); r.Resumed != 0 || r.Loaded != n {
		t.Errorf("into a server that has restarted: %+v", r)
	}
	same(t, from.Addr(), to.Addr(), n)
}

// The process that loads is killed: the run goes on with the load, and is ready only when all is there.
func TestLoaderKilledInARun(t *testing.T) {
	t.Parallel()
	const n = 10_000
	from, d := filled(t, n), inDirectory(t)
	d.dump(t, from.Addr())
	s := newService(t, d)
	j := s.start(t, "--warm-budget-rate", "1000")
	j.WaitPhase(t, limit, "warming")
	for _, least := range []int64{1500, 6500} {
		testkit.Wait(t, limit, func() (bool, string) { return items(t, s.socket) > least, "nothing is loaded yet" })
		must(t, syscall.Kill(loader(t, j), syscall.SIGKILL))
	}
	j.WaitPhase(t, limit, "serving")
	_, body, err := j.Get("/status")
	must(t, err)
	var st struct {
		Warming struct {
			Result string
			Load   counted
		}
	}
	must(t, json.Unmarshal([]byte(body), &st))
	if w := st.Warming; w.Result != "warm" || w.Load.Resumed < 500 || w.Load.Resumed+w.Load.Loaded+w.Load.Exists != n {
		t.Errorf("%+v", w)
	}
	if log := j.Stderr(t); strings.Count(log, "it is gone on with") != 2 {
		t.Errorf("%s", log)
	}
	same(t, from.Addr(), s.socket, n)
	j.Stop(t)
}

// loader is the process that works on the store for a run.
func loader(t testing.TB, j *scene.Job) (pid int) {
	t.Helper()
	testkit.Wait(t, limit, func() (bool, string) {
		for _, p := range testkit.Descendants(j.Pid()) {
			if line, err := os.ReadFile(filepath.Join("/proc", itoa(p), "cmdline")); err == nil && strings.Contains(string(line), "interlock-courier") {
				pid = p
			}
		}
		return pid != 0, "no courier"
	})
	return pid
}

// memcached dies and comes back while it is filled: what it has lost is loaded again.
func TestMemcachedRestartsWhileWarming(t *testing.T) {
	t.Parallel()
	const n = 10_000
	from, d := filled(t, n), inDirectory(t)
	d.dump(t, from.Addr())
	s := newService(t, d)
	again := "for i in 1 2 3; do memcached -u root -U 0 -m 128 -s " + s.socket + " -a 700 & echo $! >" + s.Dir + "/pid; wait $!; done"
	flags := append([]string{"--warm-memcached", s.socket, "--warm-budget-rate", "4000"}, d.flags...)
	j := s.Run(t, "cache", scene.Command("sh", "-c", "trap 'kill $!; exit' TERM; "+again), scene.Flags(flags...), scene.Env(d.env...))
	j.WaitPhase(t, limit, "warming")
	testkit.Wait(t, limit, func() (bool, string) { return items(t, s.socket) > 2000, "nothing is loaded yet" })
	for _, p := range testkit.Descendants(j.Pid()) {
		if line, err := os.ReadFile(filepath.Join("/proc", itoa(p), "cmdline")); err == nil && strings.HasPrefix(string(line), "memcached\x00") {
			must(t, syscall.Kill(p, syscall.SIGKILL))
		}
	}
	j.WaitPhase(t, limit, "serving")
	if w := statusOf(t, j); w.Result != "warm" || w.Load.Loaded != n {
		t.Errorf("%+v", w)
	}
	same(t, from.Addr(), s.socket, n)
	j.Stop(t)
}

// A dump and a load of one server keep out of each other's way.
func TestNoDumpWhileALoadGoesOn(t *testing.T) {
	t.Parallel()
	const n = 10_000
	from, to, d := filled(t, n), fresh(t), inDirectory(t)
	d.dump(t, from.Addr())
	p := d.start(t, "warm", "load", "--memcached", to.Addr(), "--scratch", d.scratch, "--budget-rate", "1000")
	testkit.Wait(t, limit, func() (bool, string) { return items(t, to.Addr()) > 100, "nothing is loaded yet" })
	d.want(t, 75, "warm", "dump", "--memcached", to.Addr(), "--scratch", d.scratch)
	p.Signal(t, syscall.SIGTERM)
	p.Wait(t, limit)
	if got := d.snapshots(t); got != 1 {
		t.Errorf("%d dumps", got)
	}
}

// A dump of a cache that has just started does not displace the full one: it is loaded first, and the full one fills
// in the rest.
func TestDumpOfAColdCache(t *testing.T) {
	t.Parallel()
	const n = 5000
	from, cold, d := filled(t, n), fresh(t), inDirectory(t)
	d.dump(t, from.Addr())
	cold.Ask(t, "set mix:3 9 0 7\r\nfresher\r\nset only 0 0 1\r\nx\r\nmn\r\n", "MN")
	for range 3 { // more than stay
		d.dump(t, cold.Addr())
	}
	to := fresh(t)
	r := result[counted](t, d.want(t, 0, "warm", "load", "--memcached", to.Addr(), "--scratch", d.scratch, "--json"))
	if r.Loaded != n+1 || r.Exists != 1 || len(r.Dumps) != 2 {
		t.Errorf("%+v", r)
	}
	if got := to.Ask(t, "get mix:3\r\nget only\r\nmn\r\n", "MN"); got[1] != "fresher" || got[4] != "x" {
		t.Errorf("%q", got)
	}
	if out := d.want(t, 0, "warm", "show"); !strings.Contains(out, "cold") {
		t.Errorf("show: %s", out)
	}
}

// memcached with -e keeps its content without being told how to be stopped, also where it is started again at once.
func TestOwnRestartByItself(t *testing.T) {
	t.Parallel()
	const n = 3000
	from, d := filled(t, n), inDirectory(t)
	d.dump(t, from.Addr())
	s := newService(t, d)
	s.extra = []string{"-e", filepath.Join(s.Dir, "memory")}
	for i := range 4 {
		j := s.start(t)
		j.WaitPhase(t, limit, "serving")
		want := warming{Result: "warm", Fraction: 1}
		want.Load.Loaded = n
		if i > 0 {
			want.Load.Loaded, want.Load.Kept = 0, n
		}
		if w := statusOf(t, j); w != want {
			t.Errorf("start %d: %+v, want %+v; log: %s", i, w, want, j.Stderr(t))
		}
		if i == 0 {
			same(t, from.Addr(), s.socket, n)
		}
		j.Stop(t)
	}
}

// Its order, and that nobody uses the server, are checked before anything is sent.
func TestColdestFirst(t *testing.T) {
	t.Parallel()
	const n = 2000
	from, to, d := filled(t, n), fresh(t), inDirectory(t)
	d.dump(t, from.Addr(), "--listing", "all")
	if out := d.want(t, 0, "warm", "show"); !strings.Contains(out, "by all") {
		t.Errorf("%s", out)
	}
	load := []string{"warm", "load", "--memcached", to.Addr(), "--scratch", d.scratch, "--order", "coldest-first"}
	d.want(t, 78, append(load, "--in-use")...)
	d.want(t, 0, load...)
	same(t, from.Addr(), to.Addr(), n)
	d.want(t, 78, load...) // it holds items now
	d.want(t, 78, "check-config", "--lock", "file:///srv/l", "--warm-memcached", "h:1", "--warm-order", "coldest-first", "--warm-ready", "at_once")
}

// What the command line of memcached tells is refused at the check of the configuration, before anything runs.
func TestCommandThatCannotBeDumped(t *testing.T) {
	t.Parallel()
	d := inDirectory(t)
	check := append([]string{"check-config", "--lock", "file:///srv/l", "--warm-memcached", "h:1", "--warm-schedule", "1h"}, d.flags...)
	plain := &depot{dir: d.dir}
	plain.want(t, 0, append(check, "--", "memcached", "-m", "64")...)
	for _, args := range [][]string{{"-S"}, {"-vS"}, {"--enable-sasl"}, {"-m", "64", "-B", "binary"}, {"--protocol=binary"}, {"-X"}} {
		plain.want(t, 78, append(append(check, "--", "gosu", "memcache", "/usr/bin/memcached"), args...)...)
	}
	run := append([]string{"run", "--lock", "file://" + filepath.Join(d.dir, "lock"), "--warm-memcached", "127.0.0.1:1"}, d.flags...)
	plain.want(t, 78, append(run, "--", "memcached", "-S")...)
}

// doctor says what the memcached is, and what is wrong with it.
func TestDoctor(t *testing.T) {
	t.Parallel()
	d := inDirectory(t)
	memory := filepath.Join(testkit.PublicDir(t), "memory")
	ask := func(code int, server string, more ...string) string {
		p := d.start(t, append([]string{"doctor", "--warm-memcached", server}, more...)...)
		p.Wait(t, limit)
		var lines []string
		for line := range strings.Lines(p.Stdout(t)) {
			if strings.Contains(line, "memcached") && !strings.Contains(line, "config") {
				lines = append(lines, line)
			}
		}
		out := strings.Join(lines, "")
		if failed := strings.Contains("\n"+out, "\nfail"); failed != (code != 0) {
			t.Errorf("doctor of %s: %s%s", server, out, p.Stderr(t))
		}
		return out
	}
	kept := testkit.Memcached(t, testkit.MemcachedOptions{Extra: []string{"-e", memory}})
	if out := ask(0, kept.Addr()); !strings.Contains(out, "version 1.") || !strings.Contains(out, "outlives a restart in "+memory) || !strings.Contains(out, "values up to 1.0 MiB") {
		t.Errorf("%s", out)
	}
	if out := ask(0, kept.Addr(), "--stop-signal", "INT"); !strings.Contains(out, "set stop.signal: USR1") {
		t.Errorf("%s", out)
	}
	silent := testkit.Memcached(t, testkit.MemcachedOptions{Extra: []string{"-X"}})
	ask(0, silent.Addr())
	ask(1, silent.Addr(), "--warm-schedule", "1h")
	binary := testkit.Memcached(t, testkit.MemcachedOptions{Extra: []string{"-B", "binary"}})
	if out := ask(1, binary.Addr()); !strings.Contains(out, "not with SASL") {
		t.Errorf("%s", out)
	}
	binary.Kill(t)
	if out := ask(0, binary.Addr()); !strings.Contains(out, "warn") {
		t.Errorf("%s", out)
	}
}

// Live servers are asked for their keys, with and without a store, and the list of nodes may be that of the
// servers.
func TestLiveRing(t *testing.T) {
	t.Parallel()
	const n = 4000
	d := inDirectory(t)
	bare := &depot{dir: d.dir} // no store
	servers := ringServers(t, n)
	live := func(names ...string) []string {
		words := []string{"warm", "ring", "verify", "--scratch", d.scratch}
		for i, name := range names {
			words = append(words, "--memcached", name+"="+servers[i])
		}
		return words
	}
	nodes := []string{"--node", "cache1:11211", "--node", "cache2:11211"}
	first := func(out string) string { return strings.Split(out, "\n")[1] }
	if line := first(bare.want(t, 0, append(live("cache1", "cache2:11211"), append(nodes, "--ring", "auto")...)...)); !strings.Contains(line, "100.0 %") || !strings.Contains(line, "mcrouter-") {
		t.Errorf("%s", line)
	}
	bare.want(t, 78, append(live("cache2", "cache1"), append(nodes, "--ring", "auto")...)...) // the wrong way round
	bare.want(t, 78, append(live("cache1", "cache2"), append(nodes, "--ring", "gomemcache")...)...)
	bare.want(t, 78, append(live("cache1", "cache3"), append(nodes, "--ring", "auto")...)...)
	// By their addresses alone: not what the client hashes, and a rule that hashes no names is found.
	if line := first(bare.want(t, 0, "warm", "ring", "verify", "--scratch", d.scratch, "--ring", "auto", "--memcached", servers[0], "--memcached", servers[1])); !strings.Contains(line, "mcrouter-") {
		t.Errorf("%s", line)
	}
	// One node is asked, the other one's dump is read.
	d.dump(t, servers[1], "--self", "cache2:11211")
	if line := first(d.want(t, 0, append(live("cache1"), append(nodes, "--ring", "auto")...)...)); !strings.Contains(line, "100.0 %") || !strings.Contains(line, "mcrouter-") {
		t.Errorf("%s", line)
	}
	left, err := os.ReadDir(d.scratch)
	must(t, err)
	if len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

// A command that starts two memcacheds has both filled, each from its own dumps, and both dumped.
func TestSeveralInstances(t *testing.T) {
	t.Parallel()
	const n, m = 3000, 1000
	d := inDirectory(t)
	first, second := filled(t, n), filled(t, m)
	d.dump(t, first.Addr())
	d.dump(t, second.Addr(), "--self", "b")
	s := newService(t, d)
	other := filepath.Join(s.Dir, "b")
	one := "memcached -u root -U 0 -m 64 -a 700 -s "
	flags := append([]string{"--warm-memcached", s.socket, "--warm-also", `["b=` + other + `"]`, "--warm-schedule", "1s"}, d.flags...)
	j := s.Run(t, "cache", scene.Command("sh", "-c", "trap 'kill $A $B; exit' TERM; "+one+s.socket+" & A=$!; "+one+other+" & B=$!; wait"), scene.Flags(flags...), scene.Env(d.env...))
	j.WaitPhase(t, limit, "serving")
	if w := statusOf(t, j); w.Result != "warm" || w.Load.Loaded != n+m || w.Fraction != 1 {
		t.Errorf("%+v", w)
	}
	same(t, first.Addr(), s.socket, n)
	same(t, second.Addr(), other, m)
	testkit.Wait(t, limit, func() (bool, string) {
		st, err := j.Status()
		return err == nil && st.Snapshots != nil && st.Snapshots.Backups["published"] >= 2, "no dumps yet"
	})
	j.Stop(t)
	if got := d.snapshots(t); got != 4 {
		t.Errorf("%d dumps stay, want two of each", got)
	}
	first.Kill(t)
	second.Kill(t)
	again := fresh(t)
	d.want(t, 0, "warm", "load", "--memcached", again.Addr(), "--scratch", d.scratch)
	if got := items(t, again.Addr()); got != n && got != m {
		t.Errorf("%d items of the dumps of one node", got)
	}
}

// A run finds out by what rule clients spread their keys, from the dumps in the stores of the other nodes, and loads
// its own share; by a list that does not fit it loads nothing.
func TestRingInARun(t *testing.T) {
	t.Parallel()
	const n = 6000
	servers := ringServers(t, n)
	var stores []string
	for i, server := range servers {
		other := inDirectory(t)
		other.dump(t, server, "--self", "cache"+itoa(i+1)+":11211")
		stores = append(stores, `"`+other.flags[1]+`"`)
	}
	for list, want := range map[string]warming{
		`"cache1:11211", "cache2:11211", "cache3:11211"`: {Result: "warm", Fraction: 1},
		`"cache2:11211", "cache1:11211", "cache3:11211"`: {Result: "cold"},
	} {
		s := newService(t, inDirectory(t)) // a repository belongs to one lock
		file := filepath.Join(s.Dir, "config.yaml")
		must(t, os.WriteFile(file, []byte("warm:\n  ring:\n    kind: auto\n    nodes: ["+list+"]\n    self: cache3:11211\n    stores: ["+strings.Join(stores, ", ")+"]\n"), 0o644))
		j := s.start(t, "--config", file)
		j.WaitPhase(t, limit, "serving")
		w := statusOf(t, j)
		if want.Result == "warm" {
			want.Load.Loaded = ringShare(t, n)
		} else if !strings.Contains(w.Failure, "no ring fits") {
			t.Errorf("%s", w.Failure)
		}
		if w.Failure = ""; w != want {
			t.Errorf("%s: %+v, want %+v", list, w, want)
		}
		if got := items(t, s.socket); got != want.Load.Loaded {
			t.Errorf("%s: %d items", list, got)
		}
		j.Stop(t)
	}
}
