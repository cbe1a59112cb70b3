package snapshots

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// TestLostLock: a backup whose lease is lost is killed, together with the command that it reads, and publishes
// nothing, also when the store would have taken it.
func TestLostLock(t *testing.T) {
	t.Parallel()
	etcd := testkit.Etcd(t, testkit.EtcdOptions{})
	way := testkit.NewProxy(t, etcd.Addr())
	p := inDirectory(t)
	p.ok(t, "store", "init")
	flags := scene.Quick()
	for i := 0; i+1 < len(flags); i += 2 { // as variables: the verb has no flags for them
		name := strings.ToUpper(strings.ReplaceAll(strings.TrimPrefix(flags[i], "--"), "-", "_"))
		p.env = append(p.env, "INTERLOCK_"+name+"="+flags[i+1])
	}
	url := "etcd://" + way.Addr() + "/cron"
	p.env = append(p.env, "INTERLOCK_LOCK="+url)
	if code, _, stderr := p.lockInit(t); code != 0 {
		t.Fatal(stderr)
	}
	gate := fifo(t, p)
	proc, _ := gated(t, p, gate, "--lock", url)
	way.Hang()
	if code := proc.Wait(t, limit); code != 76 {
		t.Errorf("%d: %s", code, proc.Stderr(t))
	}
	// Nobody is left who reads the gate.
	if f, err := os.OpenFile(gate, os.O_WRONLY|unix.O_NONBLOCK, 0); err == nil {
		must(t, f.Close())
		t.Error("the command still reads")
	}
	if all := p.list(t); len(all) != 0 {
		t.Errorf("%+v", all)
	}
}

// lockInit makes the state record of the place's lock.
func (p *place) lockInit(t testing.TB) (int, string, string) {
	t.Helper()
	bare := *p
	bare.flags = nil
	return bare.run(t, "lock", "init")
}

// TestStopped: a stop signal ends a backup at once with its code; nothing is published, nothing of the command left.
func TestStopped(t *testing.T) {
	t.Parallel()
	p := inDirectory(t)
	p.ok(t, "store", "init")
	gate := fifo(t, p)
	proc, _ := gated(t, p, gate)
	proc.Signal(t, unix.SIGTERM)
	if code := proc.Wait(t, limit); code != 143 || !strings.Contains(proc.Stderr(t), "terminated") {
		t.Errorf("%d: %s", code, proc.Stderr(t))
	}
	if f, err := os.OpenFile(gate, os.O_WRONLY|unix.O_NONBLOCK, 0); err == nil {
		must(t, f.Close())
		t.Error("the command still reads")
	}
	if n := len(p.list(t)); n != 0 {
		t.Errorf("%d snapshots", n)
	}
}

// TestLeftovers: what a writer left that was killed long ago goes by prune; what is young is left alone.
func TestLeftovers(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		_, s := filled(t, p)
		old := filepath.Join(p.dir, "snap", "20200101T000000Z-0-00000000000000aa", "00000.pack")
		young := filepath.Join(p.dir, "snap", s.ID[:16]+"-0-00000000000000bb", "00000.pack")
		for _, path := range []string{old, young} {
			must(t, os.MkdirAll(filepath.Dir(path), 0o755))
			write(t, path, []byte("never published"))
		}
		if out := p.ok(t, "store", "doctor"); !strings.Contains(out, "2 uploads that were not published") {
			t.Errorf("doctor: %s", out)
		}
		p.ok(t, "prune", "--dry-run")
		if _, err := os.Lstat(old); err != nil {
			t.Error("a dry run deleted it")
		}
		if out := p.ok(t, "prune"); !strings.Contains(out, "left alone") {
			t.Errorf("prune: %s", out)
		}
		if _, err := os.Lstat(old); !os.IsNotExist(err) {
			t.Errorf("the old upload is left (%v)", err)
		}
		if _, err := os.Lstat(young); err != nil {
			t.Error("the young upload is gone")
		}
		p.ends(t, 64, "may be under way", "prune", "--abandon-after", "1m")
	})
}

// TestRestoredForRun: what `restore --data` filled a run takes for its own and the newest.
func TestRestoredForRun(t *testing.T) {
	t.Parallel()
	p, s, data := locked(t)
	p.ok(t, "backup", "--data", data)
	p.ok(t, "restore", "--data", s.Data, "--state-dir", s.State)
	same(t, data, s.Data)
	j := s.Run(t, "a", scene.Command("true"), scene.Flags(append([]string{"--restore-from", "store"}, p.flags...)...))
	j.Expect(t, limit, 0)
	if log := j.Stderr(t); !strings.Contains(log, "ours and the newest") {
		t.Errorf("expected the data to be kept: %s", log)
	}
}

// TestWholeAlready: a restore that was killed between its end and the removal of its account is told to be whole.
func TestWholeAlready(t *testing.T) {
	t.Parallel()
	p := inDirectory(t)
	data, _ := filled(t, p)
	to, account := filepath.Join(p.home, "to"), filepath.Join(p.home, ".to.interlock")
	p.ok(t, "restore", "--to", to, "--state-dir", account) // which is not removed
	if out := p.ok(t, "restore", "--to", to); !strings.Contains(out, "restored it to its end") {
		t.Errorf("%s", out)
	}
	same(t, data, to)
	if _, err := os.Lstat(account); !os.IsNotExist(err) {
		t.Errorf("the account is left (%v)", err)
	}
	p.ends(t, 73, "is not empty", "restore", "--to", to)
}
