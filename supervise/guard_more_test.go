package supervise

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/clock"
)

// The reason of an end that the guard decided goes to the file, which is never made unasked.
func TestReasonFile(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	there, absent, asked := filepath.Join(dir, "there"), filepath.Join(dir, "absent"), filepath.Join(dir, "asked")
	if err := os.WriteFile(there, []byte("something longer than one line\nand another\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(path string, create bool) {
		g := startGuard(t, options{})
		g.order(command{Op: "prepare", Settings: Settings{Isolate: IsolatePIDNS, ReasonFile: path, ReasonCreate: create}})
		g.event(Ready)
		g.lease(time.Minute)
		g.order(command{Op: "start", Spec: payloadSpec("sleep", "1000")})
		g.event(Started)
		send(t, g.agent, syscall.SIGKILL)
		g.wantCode(70)
	}
	for _, path := range []string{there, asked} {
		run(path, path == asked)
		if b, err := os.ReadFile(path); err != nil || strings.Count(string(b), "\n") != 1 || !strings.Contains(string(b), "signal 9") {
			t.Errorf("%s: %q %v", path, b, err)
		}
	}
	run(absent, false)
	wantNoFile(t, absent)
}

// A reason file whose reader does not read (or a hung filesystem) does not keep the guard from its end.
func TestReasonFileThatBlocks(t *testing.T) {
	needRoot(t)
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for err == nil {
		_, err = unix.Write(fd, make([]byte, 4096))
	}
	g := startGuard(t, options{})
	g.order(command{Op: "prepare", Settings: Settings{Isolate: IsolateNone, ReasonFile: path}})
	g.event(Ready)
	send(t, g.agent, syscall.SIGKILL)
	g.wantCode(70)
}

// A panic anywhere in the guard kills the domain, proves it, and is exit code 70.
func TestPanicKillsFirst(t *testing.T) {
	eachMode(t, func(t *testing.T, isolate string) {
		fuse := filepath.Join(t.TempDir(), "fuse")
		g := startGuard(t, options{env: []string{"PANIC_ON=" + fuse}})
		g.begin(isolate, time.Minute, time.Hour, self(t), "payload-under-test", "daemon")
		eventually(t, "daemon", func() bool { return g.payloadProcesses() >= 3 })
		if err := os.WriteFile(fuse, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		g.wantCode(70)
		if n := g.payloadProcesses(); n != 0 {
			t.Errorf("%d processes outlived the guard", n)
		}
	})
}

// guardWithFuse is a guard one of whose readers panics once a file appears.
func guardWithFuse() int {
	g, err := newGuard(os.Args, os.Environ())
	if err != nil {
		return 99
	}
	defer g.joined.Wait()
	defer close(g.in.stop)
	g.spawn(func() {
		t := time.NewTicker(10 * time.Millisecond)
		defer t.Stop()
		for range t.C {
			if _, err := os.Stat(os.Getenv("PANIC_ON")); err == nil {
				panic("fuse")
			}
		}
	})
	return g.run()
}

func TestKeep(t *testing.T) {
	needRoot(t)
	path := filepath.Join(t.TempDir(), "lock")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	g := startGuard(t, options{})
	g.order(command{Op: "keep", Path: path})
	dir := "/proc/" + strconv.Itoa(g.pid) + "/fd/"
	eventually(t, "the guard holds the file", func() bool {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if to, err := os.Readlink(dir + e.Name()); err == nil && to == path {
				return true
			}
		}
		return false
	})
	spec := payloadSpec("sh", "-c", "ls -l /proc/$$/fd")
	out, _ := g.output(IsolateNone, spec)
	if strings.Contains(out, path) {
		t.Error("the payload holds the lock file")
	}
}

// gateAlone runs a gate whose guard is the test.
func gateAlone(t *testing.T, argv ...string) (*conn, int) {
	t.Helper()
	near, far, err := newPair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.close() })
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	pid, err := syscall.ForkExec(self(t), append([]string{RoleGate, "3"}, argv...), &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{null.Fd(), null.Fd(), 2, far.Fd()}})
	if err != nil {
		t.Fatal(err)
	}
	far.Close()
	m, err := near.recv(make([]byte, 64))
	if err != nil || (&unpacker{b: m.body}).num() != msgHello {
		t.Fatalf("hello: %+v %v", m, err)
	}
	return near, pid
}

func waitFor(t *testing.T, pid int) syscall.WaitStatus {
	t.Helper()
	var status syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(pid, &status, 0, nil); err != syscall.EINTR {
			if err != nil {
				t.Fatal(err)
			}
			return status
		}
	}
}

// A gate whose guard goes away without a go never becomes the command.
func TestGateWithoutGo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "went")
	near, pid := gateAlone(t, "touch", file)
	near.close()
	if st := waitFor(t, pid); !st.Exited() || st.ExitStatus() != exitInternal {
		t.Errorf("gate ended with %#x", uint32(st))
	}
	wantNoFile(t, file)
}

// A go that arrives late (guard, gate or host stopped in between) is not followed: the gate reads the
// clock itself.
func TestGateReadsTheClock(t *testing.T) {
	file := filepath.Join(t.TempDir(), "went")
	near, pid := gateAlone(t, "touch", file)
	if err := near.send(pack(msgGo).pass(pass{until: clock.Now().Add(-time.Millisecond), parent: os.Getpid()})); err != nil {
		t.Fatal(err)
	}
	m, err := near.recv(make([]byte, 256))
	u := &unpacker{b: m.body}
	if err != nil || u.num() != msgFailed || u.str() != "late" {
		t.Errorf("gate said %q %v", m.body, err)
	}
	waitFor(t, pid)
	wantNoFile(t, file)
}

// A gate whose parent is another than the one that forked it was orphaned.
func TestGateChecksItsParent(t *testing.T) {
	near, pid := gateAlone(t, "true")
	if err := near.send(pack(msgGo).pass(pass{until: clock.Now().Add(time.Minute), parent: 1})); err != nil {
		t.Fatal(err)
	}
	m, err := near.recv(make([]byte, 256))
	u := &unpacker{b: m.body}
	if err != nil || u.num() != msgFailed || u.str() != "gate" {
		t.Errorf("gate said %q %v", m.body, err)
	}
	waitFor(t, pid)
}

// Ctrl-C on a terminal reaches the payload once, and the guard not at all; afterwards the terminal is
// the guard's again.
func TestTerminal(t *testing.T) {
	for _, isolate := range []string{IsolatePIDNS, IsolateNone} {
		t.Run(isolate, func(t *testing.T) {
			needRoot(t)
			control, terminal := openTerminal(t)
			g := startGuard(t, options{stdin: terminal, wrap: []string{"setsid", "--ctty"}})
			g.prepare(isolate, 0)
			g.lease(time.Minute)
			path := filepath.Join(filepath.Dir(g.stderr), "out")
			script := `n=0; trap 'n=$((n+1)); echo int $n' INT; trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done`
			g.order(command{Op: "start", Path: path, Spec: payloadSpec("sh", "-c", script)})
			g.event(Started)
			said := func(want string) func() bool {
				return func() bool { b, err := os.ReadFile(path); return err == nil && string(b) == want }
			}
			eventually(t, "ready", said("ready\n"))
			if _, err := control.Write([]byte{3}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "one interrupt", said("ready\nint 1\n"))
			g.order(command{Op: "signal", ID: 1, Signal: int(syscall.SIGTERM)})
			if e := g.event(Exited); e.Status.ExitStatus() != 9 {
				t.Errorf("%+v", e)
			}
			for _, r := range g.backlog {
				if r.Event != nil && r.Event.Kind == SignalReceived {
					t.Errorf("the guard got %v too", r.Event.Signal)
				}
			}
			own, err := unix.Getpgid(g.pid)
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "the guard is in the foreground", func() bool { // it takes it after the word of the exit
				group, err := unix.IoctlGetInt(int(control.Fd()), unix.TIOCGPGRP)
				return err == nil && group == own
			})
		})
	}
}

func openTerminal(t *testing.T) (control, terminal *os.File) {
	t.Helper()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { control.Close() })
	unlock := 0
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, control.Fd(), unix.TIOCSPTLCK, uintptr(unsafe.Pointer(&unlock))); errno != 0 {
		t.Fatal(errno)
	}
	n, err := unix.IoctlGetInt(int(control.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return control, terminal
}

// Nothing was ever started: the agent's own code, whatever it is; but not if it was killed.
func TestAgentEndsBeforeAnythingStarted(t *testing.T) {
	g := startGuard(t, options{})
	g.order(command{Op: "exit", Code: 64})
	g.wantCode(64)
	g = startGuard(t, options{})
	send(t, g.agent, syscall.SIGKILL)
	g.wantCode(70)
}

// A signal to the whole tree finds the agent before it can catch any: that is a stop, not a fault.
func TestAgentStoppedBeforeItCouldCatchSignals(t *testing.T) {
	for code, wrap := range map[int]string{143: "kill -TERM $$", 130: "kill -INT $$", 70: "kill -SEGV $$"} {
		g := &guard{agent: &agentProcess{reaped: true}}
		g.agent.status = endOf(t, wrap)
		if got := g.verdict(); got != code {
			t.Errorf("%s: code %d, expected %d", wrap, got, code)
		}
		g.end.started = true
		if got := g.verdict(); got != 70 {
			t.Errorf("%s after a start: code %d, expected 70", wrap, got)
		}
	}
}

func endOf(t *testing.T, script string) unix.WaitStatus {
	t.Helper()
	p, err := os.StartProcess("/bin/sh", []string{"sh", "-c", script}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	state, err := p.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return unix.WaitStatus(state.Sys().(syscall.WaitStatus))
}

// A user may be in very many groups: the go with all of them must be read whole.
func TestGateWithManyGroups(t *testing.T) {
	needRoot(t)
	c := &Credential{UID: 65534, GID: 65534}
	for i := range uint32(8000) {
		c.Groups = append(c.Groups, 1<<28+i)
	}
	near, pid := gateAlone(t, "true")
	if err := near.send(pack(msgGo).pass(pass{until: clock.Now().Add(time.Minute), parent: os.Getpid(), credential: c})); err != nil {
		t.Fatal(err)
	}
	if st := waitFor(t, pid); !st.Exited() || st.ExitStatus() != 0 {
		t.Errorf("gate ended with %#x", uint32(st))
	}
}

// The agent leaves without Finish although something was started: everything is killed, and 70.
func TestAgentLeavesEarly(t *testing.T) {
	eachMode(t, func(t *testing.T, isolate string) {
		g := daemonised(t, isolate, time.Second, time.Minute)
		g.order(command{Op: "exit", Code: 0})
		g.wantCode(70)
		if left := g.survivors(); len(left) != 0 {
			t.Errorf("%v outlived the guard", left)
		}
	})
}

// The agent closes its end but lives on: the same.
func TestAgentClosesItsEnd(t *testing.T) {
	needRoot(t)
	g := daemonised(t, IsolatePIDNS, time.Second, time.Minute)
	g.order(command{Op: "close"})
	g.wantCode(70)
	g.wantNobody()
	eventually(t, "agent is dead", func() bool { return syscall.Kill(g.agent, 0) == syscall.ESRCH })
}
