package soak

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
)

const (
	limit  = 60 * time.Second
	period = 4 * time.Millisecond // between two probes of a server that hangs
)

// A patient is a mount whose server hangs, and whoever watches it.
type patient struct {
	name  string
	fs    *testkit.FaultFS
	watch *testkit.Process
	seen  account // at the end of the first quarter
	most  int     // helpers at once
}

func watched(t *testing.T, name string, hang func(f *testkit.FaultFS)) *patient {
	t.Helper()
	f := testkit.StartFaultFS(t, "")
	p := &patient{name: name, fs: f}
	p.watch = testkit.StartCmd(t, exec.Command(testkit.Binary(t), "mount", "watch", "--json", "--mount", f.Dir+",fail_after=1ms,recover_after=0s",
		"--probe-period", period.String(), "--probe-timeout", "200ms"))
	t.Cleanup(f.Free) // before the watch is waited for
	p.says(t, "ok")
	hang(f)
	p.says(t, "hung")
	return p
}

func (p *patient) says(t *testing.T, finding string) {
	t.Helper()
	testkit.Wait(t, limit, func() (bool, string) {
		lines := strings.Split(strings.TrimSpace(p.watch.Stdout(t)), "\n")
		return strings.Contains(lines[len(lines)-1], `"finding":"`+finding+`"`), p.name + ": not " + finding + ": " + p.watch.Stderr(t)
	})
}

// TestHungServers: one server has taken a request, so that the helper cannot be killed; another takes none, so that
// each helper is killed and replaced. Looks of an orchestrator come beside both, and so does other work.
func TestHungServers(t *testing.T) {
	taken := watched(t, "taken", func(f *testkit.FaultFS) { f.Set(t, "hang") })
	silent := watched(t, "silent", func(f *testkit.FaultFS) { f.Signal(t, unix.SIGSTOP) })
	t.Cleanup(func() { silent.fs.Signal(t, unix.SIGCONT) })
	lasting := testkit.Soak(t, 12*time.Second)
	stopWork := otherWork(t)
	begun := time.Now()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	rounds := 0
	for ; time.Since(begun) < lasting; rounds++ {
		<-tick.C
		for _, p := range []*patient{taken, silent} {
			p.sample(t, time.Since(begun) < lasting/4)
		}
		if rounds%20 == 0 {
			looked(t, taken)
		}
	}
	stopWork()
	for _, p := range []*patient{taken, silent} {
		p.judge(t)
	}
	t.Logf("%v, about %d probes of the server that has taken a request, %d samples", lasting.Round(time.Second), int(lasting/period), rounds)
	taken.fs.Set(t, "ok")
	taken.says(t, "ok")
	silent.fs.Signal(t, unix.SIGCONT)
	silent.says(t, "ok")
}

// sample counts the helpers of a mount, and what the watch uses.
func (p *patient) sample(t *testing.T, early bool) {
	t.Helper()
	helpers := helpersOf(p.fs.Dir)
	if p.most = max(p.most, len(helpers)); len(helpers) > 2 {
		t.Errorf("%s: %d helpers at once: %v", p.name, len(helpers), helpers)
	}
	if early {
		p.seen = p.seen.most(accountOf(t, p.watch.Pid()))
	}
}

// judge compares the end with the first quarter. What a runtime needs for itself comes and goes; what a probe
// leaves behind would be there thousands of times.
func (p *patient) judge(t *testing.T) {
	t.Helper()
	now := accountOf(t, p.watch.Pid())
	t.Logf("%s: first quarter at most %+v, at the end %+v, helpers at once at most %d", p.name, p.seen, now, p.most)
	if now.kib > p.seen.kib+6<<10 || now.threads > p.seen.threads+4 || now.files > p.seen.files+2 {
		t.Errorf("%s: it grows", p.name)
	}
}

// looked is a `mount check` as an exec probe has it: it ends, says hung, and leaves no helper of its own.
func looked(t *testing.T, p *patient) {
	t.Helper()
	c := testkit.StartCmd(t, exec.Command(testkit.Binary(t), "mount", "check", "--mount", p.fs.Dir, "--probe-timeout", "100ms"))
	if code := c.Wait(t, limit); code != 72 || !strings.Contains(c.Stdout(t), "hung") {
		t.Errorf("mount check: exit code %d: %s%s", code, c.Stdout(t), c.Stderr(t))
	}
}

// otherWork is a mount table that changes all the time, and a disk that is written to.
func otherWork(t *testing.T) (stop func()) {
	t.Helper()
	dir, file := filepath.Join(t.TempDir(), "mnt"), filepath.Join(t.TempDir(), "file")
	script := fmt.Sprintf("mkdir %s; while :; do mount -t tmpfs x %s; umount %s; dd if=/dev/zero of=%s bs=1M count=8 conv=fsync 2>/dev/null; sleep 0.1; done", dir, dir, dir, file)
	p := testkit.StartCmd(t, exec.Command("sh", "-c", script))
	return func() {
		p.Signal(t, unix.SIGKILL)
		p.Wait(t, limit)
		testkit.Wait(t, limit, func() (bool, string) {
			err := unix.Unmount(dir, 0)
			return err == unix.EINVAL || err == unix.ENOENT, fmt.Sprint(dir, " is still mounted: ", err)
		})
	}
}
