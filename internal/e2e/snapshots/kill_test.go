package snapshots

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
)

// rounds is how often a verb is killed: each at another moment.
func rounds() int {
	if testkit.Long() {
		return 40
	}
	return 8
}

// seeded gives random moments. INTERLOCK_TEST_SEED repeats a run's.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("INTERLOCK_TEST_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		must(t, err)
	}
	t.Logf("INTERLOCK_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// killedAt starts a verb and kills it after a part of the time that it takes; it tells whether that was in time.
func killedAt(t *testing.T, p *place, after time.Duration, words ...string) bool {
	t.Helper()
	proc := p.start(t, words...)
	fd, err := unix.PidfdOpen(proc.Pid(), 0) // it may end by itself right before the kill, and its number be another's
	if errors.Is(err, unix.ESRCH) {
		return false
	}
	must(t, err)
	defer unix.Close(fd)
	moment := time.NewTimer(after)
	defer moment.Stop()
	select {
	case <-proc.Exited():
		return false
	case <-moment.C:
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); !errors.Is(err, unix.ESRCH) {
		must(t, err)
	}
	return proc.Wait(t, limit) == 128+int(unix.SIGKILL)
}

// timed is how long a verb takes undisturbed.
func timed(t *testing.T, p *place, words ...string) time.Duration {
	t.Helper()
	began := time.Now()
	p.ok(t, words...)
	return time.Since(began)
}

// change rewrites a part of the tree, so that there is something to store.
func change(t *testing.T, data string, round int) {
	t.Helper()
	write(t, filepath.Join(data, "big"), noise(uint64(100+round), 24<<20))
	write(t, filepath.Join(data, "sub", "round"), []byte(strconv.Itoa(round)))
}

// TestKilledBackup: kill -9 at random moments leaves a repository that is whole, and the next backup completes.
func TestKilledBackup(t *testing.T) {
	everywhere(t, killedBackup)
	t.Run("encrypted", func(t *testing.T) { t.Parallel(); killedBackup(t, inDirectory(t).encrypted(t)) })
}

func killedBackup(t *testing.T, p *place) {
	t.Helper()
	data, _ := filled(t, p)
	random := seeded(t)
	change(t, data, -1)
	whole := timed(t, p, "backup", "--data", data)
	hits := 0
	for round := range rounds() {
		change(t, data, round)
		before := len(p.list(t))
		if killedAt(t, p, time.Duration(random.Int64N(int64(whole))), "backup", "--data", data) {
			hits++
		}
		if n := len(p.list(t)) - before; n < 0 || n > 1 {
			t.Fatalf("round %d: %d snapshots came", round, n)
		}
		if round%4 == 3 {
			p.ok(t, "verify", "--all")
			p.ok(t, "prune", "--keep-last", "2", "--abandon-after", "1h")
		}
	}
	if hits == 0 {
		t.Error("no backup was killed in time: the test saw nothing")
	}
	p.ok(t, "backup", "--data", data)
	p.ok(t, "verify", "--all")
	to := filepath.Join(p.home, "to")
	p.ok(t, "restore", "--to", to, "--verify")
	same(t, data, to)
}

// TestKilledRestore: after kill -9 at random moments the same command goes on, and the end is the snapshot.
func TestKilledRestore(t *testing.T) {
	t.Parallel()
	t.Run("plain", func(t *testing.T) { t.Parallel(); killedRestore(t, inDirectory(t)) })
	t.Run("encrypted", func(t *testing.T) { t.Parallel(); killedRestore(t, inDirectory(t).encrypted(t)) })
}

func killedRestore(t *testing.T, p *place) {
	t.Helper()
	data, _ := filled(t, p)
	change(t, data, 0)
	p.ok(t, "backup", "--data", data)
	random := seeded(t)
	whole := timed(t, p, "restore", "--to", filepath.Join(p.home, "first"))
	hits := 0
	for round := range rounds() {
		to := filepath.Join(p.home, "to"+strconv.Itoa(round))
		for range 3 {
			if killedAt(t, p, time.Duration(random.Int64N(int64(whole))), "restore", "--to", to) {
				hits++
			}
		}
		if code, _, stderr := p.run(t, "restore", "--to", to); code != 0 && !finished(t, p, to) {
			t.Fatalf("round %d: %d: %s", round, code, stderr)
		}
		same(t, data, to)
		must(t, os.RemoveAll(to))
	}
	if hits == 0 {
		t.Error("no restore was killed in time: the test saw nothing")
	}
}

// finished tells that nothing was left to do: it was killed when even its account was gone.
func finished(t *testing.T, p *place, to string) bool {
	t.Helper()
	_, err := os.Lstat(filepath.Join(p.home, "."+filepath.Base(to)+".interlock", "restore.json"))
	return os.IsNotExist(err)
}

// TestCrowd: eight writers at once, each of a tree of its own, all publish, and nothing is lost.
func TestCrowd(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.ok(t, "store", "init")
		const crowd = 8
		var all []*testkit.Process
		var trees []string
		for i := range crowd {
			own := *p
			own.home = filepath.Join(p.home, strconv.Itoa(i))
			data := tree(t, filepath.Join(own.home, "data"))
			write(t, filepath.Join(data, "number"), noise(uint64(i), 1<<20+i))
			trees = append(trees, data)
			all = append(all, own.start(t, "backup", "--data", data, "--label", "number="+strconv.Itoa(i), "--allow-shrink"))
		}
		for i, proc := range all {
			if code := proc.Wait(t, limit); code != 0 {
				t.Errorf("writer %d ended with %d", i, code)
			}
		}
		list := p.list(t)
		if len(list) != crowd {
			t.Fatalf("%d snapshots, want %d", len(list), crowd)
		}
		p.ok(t, "verify", "--all")
		for _, s := range list {
			i, err := strconv.Atoi(s.About.Labels["number"])
			must(t, err)
			to := filepath.Join(p.home, "to"+strconv.Itoa(i))
			p.ok(t, "restore", "--to", to, "--at", s.ID)
			same(t, trees[i], to)
		}
	})
}
