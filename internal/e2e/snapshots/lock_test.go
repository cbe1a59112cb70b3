package snapshots

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// locked is a place with an empty repository, and a scene whose lock has a state record.
func locked(t *testing.T) (*place, *scene.Scene, string) {
	t.Helper()
	p, s := inDirectory(t), scene.New(t)
	p.ok(t, "store", "init")
	return p, s, tree(t, filepath.Join(p.home, "data"))
}

// serving is a run on the scene's lock whose payload waits for its end.
func serving(t *testing.T, s *scene.Scene, name string) *scene.Job {
	t.Helper()
	j := s.Run(t, name, scene.Command("sleep", "1000"))
	j.WaitPhase(t, limit, "serving")
	return j
}

// fifo is a pipe with a name: a command that reads it waits until the test writes.
func fifo(t *testing.T, p *place) string {
	t.Helper()
	path := filepath.Join(p.home, "gate")
	if out := testkit.Start(t, "mkfifo", path); out.Wait(t, limit) != 0 {
		t.Fatal("mkfifo")
	}
	return path
}

// gated is a backup that has begun to read and waits at the gate.
func gated(t *testing.T, p *place, gate string, flags ...string) (proc *testkit.Process, open func()) {
	t.Helper()
	began := gate + ".began"
	words := append([]string{"backup"}, flags...)
	proc = p.start(t, append(words, "--", "sh", "-c", `echo one; : > "$1"; cat "$0"`, gate, began)...)
	testkit.Wait(t, limit, func() (bool, string) {
		_, err := os.Lstat(began)
		return err == nil, "the backup has not begun: " + proc.Stderr(t)
	})
	return proc, func() {
		f, err := os.OpenFile(gate, os.O_WRONLY, 0)
		must(t, err)
		must(t, f.Close())
	}
}

// TestOnlyOne: with --lock a second one ends at once with 75 while the first is at work; the repository then
// belongs to that lock, and takes nothing without it.
func TestOnlyOne(t *testing.T) {
	t.Parallel()
	p, s, data := locked(t)
	cron := []string{"--lock", s.Lock, "--log-level", "error"}
	if code, _, errs := scene.Interlock(t, "lock", "init", "--lock", s.Lock); code != 0 {
		t.Fatal(errs)
	}
	first, open := gated(t, p, fifo(t, p), cron...)
	p.ends(t, 75, "holds it", append([]string{"backup", "--data", data}, cron...)...)
	open()
	if code := first.Wait(t, limit); code != 0 {
		t.Fatalf("%d: %s", code, first.Stderr(t))
	}
	if all := p.list(t); len(all) != 1 || all[0].Token == "0" {
		t.Fatalf("%+v", all)
	}
	p.ends(t, 78, "--beside", "backup", "--data", data)
	p.ends(t, 78, "belongs to", "backup", "--data", data, "--beside", s.Lock+"-other")
	p.ends(t, 78, "belongs to", "backup", "--data", data, "--lock", s.Lock+"-other", "--log-level", "error")
	p.ok(t, append([]string{"backup", "--data", data}, cron...)...)
	p.ok(t, append([]string{"pin", "latest", "--reason", "x"}, cron...)...)
	if all := p.list(t); len(all) != 2 || all[0].Token >= all[1].Token || all[1].Pin != "x" {
		t.Errorf("%+v: expected a higher token, and a pin", all)
	}
}

// TestBeside: into the repository of a run a backup publishes under the run's token, while its payload runs;
// when another holder has taken over meanwhile, it publishes nothing.
func TestBeside(t *testing.T) {
	t.Parallel()
	p, s, data := locked(t)
	p.ends(t, 75, "nobody holds it", "backup", "--data", data, "--beside", s.Lock)
	a := serving(t, s, "a")
	token := a.WaitPhase(t, limit, "serving").Lock.Token
	p.ok(t, "backup", "--data", data, "--beside", s.Lock)
	if all := p.list(t); len(all) != 1 || all[0].Token != token || all[0].About.Holder != a.Holder {
		t.Fatalf("%+v: expected token %s of %s", all, token, a.Holder)
	}
	late, open := gated(t, p, fifo(t, p), "--beside", s.Lock)
	a.Stop(t)
	p.ends(t, 75, "lent only while", "backup", "--data", data, "--beside", s.Lock)
	b := serving(t, s, "b")
	open()
	if code := late.Wait(t, limit); code != 76 || !strings.Contains(late.Stderr(t), "fenced off") {
		t.Errorf("%d: %s: expected it to be fenced off", code, late.Stderr(t))
	}
	if all := p.list(t); len(all) != 1 {
		t.Errorf("%+v", all)
	}
	p.ok(t, "prune", "--keep-last", "1", "--beside", s.Lock)
	file := filepath.Join(p.home, "interlock.yaml") // the run's own configuration says enough
	write(t, file, []byte("lock: {url: \""+s.Lock+"\"}\ndata: "+data+"\n"))
	p.ok(t, "backup", "--config", file)
	b.Stop(t)
	p.ends(t, 75, "nobody holds it", "backup", "--config", file)
}

// TestInside: what a run starts publishes under the run's token without being told.
func TestInside(t *testing.T) {
	t.Parallel()
	p, s, data := locked(t)
	argv := append([]string{testkit.Binary(t), "backup", "--data", data, "--scratch", p.scratch(t)}, p.flags...)
	j := s.Run(t, "a", scene.Command(argv...))
	j.Expect(t, limit, 0)
	if all := p.list(t); len(all) != 1 || all[0].Token == "0" || all[0].About.Holder != j.Holder {
		t.Errorf("%+v", all)
	}
}

// TestRestoreUnderRun: with the run's own configuration a restore over its data is refused while it is held.
func TestRestoreUnderRun(t *testing.T) {
	t.Parallel()
	p, s, data := locked(t)
	p.ok(t, "backup", "--data", data)
	file := filepath.Join(p.home, "interlock.yaml")
	write(t, file, []byte("lock: {url: \""+s.Lock+"\"}\ndata: "+s.Data+"\nstate_dir: "+s.State+"\n"))
	j := serving(t, s, "a")
	p.ends(t, 75, "stop it", "restore", "--config", file, "--replace")
	p.ends(t, 75, "holds it", "restore", "--config", file, "--replace", "--lock", s.Lock, "--log-level", "error")
	p.ok(t, "restore", "--config", file, "--dry-run", "--replace")
	j.Stop(t)
	p.ok(t, "restore", "--config", file, "--replace")
	same(t, data, s.Data)
}

// TestBesideWaiting: a holder in its hold-off has started nothing, and lends nothing.
func TestBesideWaiting(t *testing.T) {
	t.Parallel()
	p, s, data := locked(t)
	s.Lock = "etcd://" + testkit.Etcd(t, testkit.EtcdOptions{}).Addr() + "/orders"
	s.Timing = []string{"--hold", "60s"}
	j := s.Run(t, "a", scene.Command("sleep", "1000")) // nobody says that nobody ever ran
	j.WaitPhase(t, limit, "holding-off")
	p.ends(t, 75, "lent only while", "backup", "--data", data, "--beside", s.Lock)
	j.Stop(t)
	if n := len(p.list(t)); n != 0 {
		t.Errorf("%d snapshots", n)
	}
}
