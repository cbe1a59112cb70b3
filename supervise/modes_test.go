package supervise

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/process"
)

// public copies the test binary to where another user may execute it.
func public(t *testing.T) string {
	t.Helper()
	in, err := os.Open(self(t))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	dir, err := os.MkdirTemp("/tmp", "supbin")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := os.OpenFile(filepath.Join(dir, "binary"), os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Name()
}

func nobody() []string {
	return []string{"setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"}
}

// An ordinary user gets a user and PID namespace with its own ids, and the same guarantees.
func TestUnprivileged(t *testing.T) {
	needRoot(t) // to become somebody else
	exe := public(t)
	g := startGuard(t, options{exe: exe, wrap: nobody()})
	d := g.prepare(IsolateAuto, 0)
	if d.Mode != ModePIDNS {
		t.Fatalf("%+v", d)
	}
	g.lease(time.Minute)
	path := filepath.Join(filepath.Dir(g.stderr), "out")
	g.order(command{Op: "start", Path: path, Spec: Spec{ID: 1, Tenure: 1, Payload: true, Env: []string{"INTERLOCK_TOKEN=7"},
		Argv: []string{"sh", "-c", "id -u; id -g; grep CapEff /proc/self/status; ls -d /proc/[0-9]* | wc -l; setsid sh -c 'sleep 1000 & sleep 1000' & exec sleep 1000"}}})
	e := g.event(Started)
	eventually(t, "output and daemon", func() bool {
		b, err := os.ReadFile(path)
		return err == nil && strings.Count(string(b), "\n") == 4 && g.payloadProcesses() >= 3
	})
	b, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(b), "65534\n65534\nCapEff:\t0000000000000000\n") {
		t.Errorf("payload: %q %v", b, err)
	}
	if e.PID == 0 || syscall.Kill(e.PID, 0) != nil {
		t.Errorf("pid from outside: %d", e.PID)
	}
	t.Logf("payload said %q", b)
	send(t, g.pid, syscall.SIGKILL)
	g.exit()
	g.await("end of events", func(r reply) bool { return r.End })
	checkTakeOver(t, g, IsolatePIDNS)
}

func TestUnprivilegedSubreaper(t *testing.T) {
	needRoot(t)
	exe := public(t)
	g := startGuard(t, options{exe: exe, wrap: nobody()})
	g.begin(IsolateNone, 0, soon, exe, "payload-under-test", "daemon")
	eventually(t, "daemon", func() bool { return g.payloadProcesses() >= 3 })
	g.event(Empty)
	if n := g.payloadProcesses(); n != 0 {
		t.Errorf("%d processes outlived the deadline", n)
	}
}

// What cannot be had is one clear line, and the run can end with the agent's own code.
func TestForcedIsolationThatIsImpossible(t *testing.T) {
	needRoot(t)
	exe := public(t)
	g := startGuard(t, options{exe: exe, wrap: nobody()})
	g.order(command{Op: "prepare", Settings: Settings{Isolate: IsolateCgroup}})
	e := g.event(Refused)
	if !strings.Contains(e.Text, "isolate cgroup is not possible here") || strings.Contains(e.Text, "\n") {
		t.Errorf("%q", e.Text)
	}
	g.order(command{Op: "exit", Code: 78})
	g.wantCode(78)
}

// A writable tmpfs at the place of a cgroup is not one.
func TestTmpfsIsNoCgroup(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if isCgroup(dir, false) || isCgroup(dir, true) {
		t.Error("a plain directory was taken for a cgroup")
	}
}

// withoutUnified hides the v2 tree: the guard falls back to the freezer.
func withoutUnified() []string {
	return []string{"unshare", "--mount", "sh", "-c", `umount /sys/fs/cgroup/unified && exec "$@"`, "sh"}
}

func TestCgroupOneIsUsedAndRemoved(t *testing.T) {
	needRoot(t)
	if _, err := findCgroup(true); err != nil {
		t.Skip("no freezer here: ", err)
	}
	exe := self(t)
	g := startGuard(t, options{wrap: withoutUnified()})
	d := g.prepare(IsolateCgroup, 0)
	if d.Mode != ModeCgroup1 {
		t.Fatalf("%+v", d)
	}
	g.lease(time.Minute)
	g.order(command{Op: "start", Spec: Spec{ID: 1, Tenure: 1, Payload: true, Env: []string{"INTERLOCK_TOKEN=7"}, Argv: []string{exe, "payload-under-test", "tree", "100"}}})
	eventually(t, "tree", func() bool { return g.payloadProcesses() >= 101 })
	g.order(command{Op: "finish", Tenure: 1})
	g.event(Dead)
	if n := g.payloadProcesses(); n != 0 {
		t.Errorf("%d processes after dead", n)
	}
	g.order(command{Op: "exit"})
	g.wantCode(0)
	wantNoFile(t, d.Cgroup)
}

// The first rounds do without the freezer: a killer that is itself killed while it holds the others still
// would leave them so for ever, with a SIGKILL that never arrives. It is for those that fork away.
func TestCgroupOneKillsBeforeItFreezes(t *testing.T) {
	dir := t.TempDir()
	c := &cgroup{dir: dir, v1: true}
	for _, want := range []string{"untouched", "THAWED"} {
		p, err := os.StartProcess("/bin/sleep", []string{"sleep", "1000"}, &os.ProcAttr{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Kill() })
		for name, text := range map[string]string{"cgroup.procs": strconv.Itoa(p.Pid), "freezer.state": "untouched"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c.killGroup()
		if got, err := readWord(filepath.Join(dir, "freezer.state")); err != nil || got != want {
			t.Errorf("state is %q (%v), expected %q", got, err, want)
		}
		if st, err := p.Wait(); err != nil || st.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Errorf("member ended with %v (%v)", st, err)
		}
		c.begun = c.begun.Add(-time.Second)
	}
}

func TestCgroupOneTakeOver(t *testing.T) {
	needRoot(t)
	if _, err := findCgroup(true); err != nil {
		t.Skip("no freezer here: ", err)
	}
	g := startGuard(t, options{wrap: withoutUnified()})
	g.begin(IsolateCgroup, 0, time.Minute, self(t), "payload-under-test", "daemon")
	eventually(t, "daemon", func() bool { return g.payloadProcesses() >= 3 })
	stop(t, g.pid)
	checkTakeOver(t, g, IsolateCgroup)
}

func TestCgroupTwoIsUsedAndRemoved(t *testing.T) {
	needRoot(t)
	g := startGuard(t, options{})
	d := g.prepare(IsolateCgroup, 0)
	if d.Mode != ModeCgroup2 {
		t.Skipf("no cgroup v2 here: %+v", d)
	}
	g.lease(time.Minute)
	// The payload makes groups below ours and hides in one of them.
	script := "mkdir " + d.Cgroup + "/sub && echo $$ > " + d.Cgroup + "/sub/cgroup.procs && exec sleep 1000"
	g.order(command{Op: "start", Spec: payloadSpec("sh", "-c", script)})
	g.event(Started)
	eventually(t, "payload is below", func() bool {
		b, err := os.ReadFile(d.Cgroup + "/sub/cgroup.procs")
		return err == nil && len(b) > 0
	})
	g.finishes(0)
	wantNoFile(t, d.Cgroup)
}

// An escape to another cgroup is caught while the guard lives: it is still a descendant.
func TestEscapeFromTheCgroup(t *testing.T) {
	needRoot(t)
	parent, err := findCgroup(false)
	if err != nil {
		t.Skip(err)
	}
	g := startGuard(t, options{})
	g.begin(IsolateCgroup, 0, time.Minute, "sh", "-c", "echo $$ > "+parent+"/cgroup.procs; setsid sleep 1000 & exec sleep 1000")
	eventually(t, "payload", func() bool { return g.payloadProcesses() >= 2 })
	g.order(command{Op: "kill", Tenure: 1})
	g.event(Empty)
	if n := g.payloadProcesses(); n != 0 {
		t.Errorf("%d processes escaped", n)
	}
}

// asPID1 puts the guard first in a PID namespace; without CAP_SYS_ADMIN it cannot nest another.
func asPID1(nest bool) []string {
	wrap := []string{"unshare", "--pid", "--fork", "--mount-proc", "--kill-child=KILL"}
	if !nest {
		wrap = append(wrap, "setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
	}
	return wrap
}

// child finds the guard below unshare.
func (g *guarded) below(t *testing.T) int {
	t.Helper()
	for _, task := range below(&process.Lookout{}, g.pid, g.agent) {
		if s, err := process.Read(task.pid); err == nil && s.Parent == g.pid {
			return task.pid
		}
	}
	t.Fatal("unshare has no child")
	return 0
}

func TestAsPID1(t *testing.T) {
	for mode, nest := range map[string]bool{ModePIDNS: true, ModePID1: false} {
		t.Run(mode, func(t *testing.T) {
			needRoot(t)
			g := startGuard(t, options{wrap: asPID1(nest)})
			if d := g.prepare(IsolateAuto, 0); d.Mode != mode {
				t.Fatalf("%+v", d)
			}
			g.lease(time.Minute)
			g.order(command{Op: "start", Spec: payloadSpec(self(t), "payload-under-test", "daemon")})
			g.event(Started)
			eventually(t, "daemon", func() bool { return g.payloadProcesses() >= 3 })
			g.order(command{Op: "kill", Tenure: 1})
			g.event(Empty)
			if n := g.payloadProcesses(); n != 0 {
				t.Fatalf("%d processes after empty", n)
			}
			g.finishes(7)
		})
	}
}

// A stopped PID 1 cannot be killed from within: the agent ends the rest around it.
func TestTakeOverFromPID1(t *testing.T) {
	for mode, nest := range map[string]bool{ModePIDNS: true, ModePID1: false} {
		t.Run(mode, func(t *testing.T) {
			needRoot(t)
			g := startGuard(t, options{wrap: asPID1(nest)})
			g.begin(IsolateAuto, 0, soon, self(t), "payload-under-test", "daemon")
			eventually(t, "daemon", func() bool { return g.payloadProcesses() >= 3 })
			first := g.below(t)
			stop(t, first)
			sleepUntilPast(t, soon)
			r := g.order(command{Op: "takeover", Timeout: 10 * time.Second, Env: []string{"INTERLOCK_TOKEN=7"}})
			if r.Err != "" || !r.Proof.Proven {
				t.Fatalf("%+v %s", r.Proof, r.Err)
			}
			if n := g.payloadProcesses(); n != 0 {
				t.Fatalf("%d processes after the proof", n)
			}
			send(t, first, syscall.SIGCONT)
			g.event(Empty)
		})
	}
}

// kill -9 of PID 1 takes everything with it, the agent too.
func TestKillNineOfPID1(t *testing.T) {
	needRoot(t)
	g := startGuard(t, options{wrap: asPID1(false)})
	g.begin(IsolateAuto, 0, time.Minute, self(t), "payload-under-test", "daemon")
	send(t, g.below(t), syscall.SIGKILL)
	g.exit()
	g.wantNobody()
}

func TestDescribeModes(t *testing.T) {
	needRoot(t)
	for _, d := range DescribeModes() {
		t.Logf("%-10s %v %s; misses: %s", d.Mode, d.Available, d.Why, d.Misses)
		if d.Why == "" || d.Misses == "" || !d.Available && (d.Mode == ModePIDNS || d.Mode == ModeSubreaper) {
			t.Errorf("%+v", d)
		}
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(-1, &status, unix.WNOHANG, nil); err != unix.ECHILD {
		t.Logf("children left: %v (of other tests)", err)
	}
}
