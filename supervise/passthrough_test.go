package supervise

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/process"
)

func wantNoFile(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v, expected none", path, err)
		os.Remove(path)
	}
}

// output runs a payload to its end and returns what it wrote.
func (g *guarded) output(isolate string, spec Spec) (string, Event) {
	g.t.Helper()
	g.prepare(isolate, 0)
	g.lease(time.Minute)
	path := filepath.Join(filepath.Dir(g.stderr), "out")
	g.order(command{Op: "start", Spec: spec, Path: path})
	e := g.await("end of the process", func(r reply) bool {
		return r.Event != nil && (r.Event.Kind == Exited || r.Event.Kind == StartFailed)
	}).Event
	b, err := os.ReadFile(path)
	if err != nil {
		g.t.Fatal(err)
	}
	return string(b), *e
}

func payloadSpec(argv ...string) Spec {
	return Spec{ID: 1, Tenure: 1, Payload: true, Argv: argv, Env: []string{"INTERLOCK_TOKEN=7"}}
}

// Descriptors above 2 reach the payload at their own numbers, and nothing of ours does; the agent has
// none of them. SIGHUP ignored at our start is ignored there, argv and stdin are untouched.
func TestInheritance(t *testing.T) {
	eachMode(t, func(t *testing.T, isolate string) {
		five, err := os.CreateTemp(t.TempDir(), "five")
		if err != nil {
			t.Fatal(err)
		}
		defer five.Close()
		script := `ls /proc/$$/fd; grep SigIgn /proc/$$/status; echo five >&5; cat; printf '%s|' "$@"`
		in := filepath.Join(t.TempDir(), "in")
		if err := os.WriteFile(in, []byte("from stdin\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		stdin, err := os.Open(in)
		if err != nil {
			t.Fatal(err)
		}
		defer stdin.Close()
		g := startGuard(t, options{wrap: []string{"nohup"}, files: []*os.File{nil, nil, five}, stdin: stdin,
			argv: []string{"--", "/bin/sh", "-c", script, "sh", "a b", "", "$x"}})
		spec := payloadSpec()
		spec.ArgvFrom = 4
		if links, err := os.ReadDir("/proc/" + strconv.Itoa(g.agent) + "/fd"); err != nil {
			t.Fatal(err)
		} else {
			for _, l := range links {
				if to, _ := os.Readlink("/proc/" + strconv.Itoa(g.agent) + "/fd/" + l.Name()); to == five.Name() {
					t.Error("the agent holds the payload's descriptor")
				}
			}
		}
		out, e := g.output(isolate, spec)
		if e.Kind != Exited || e.Status.ExitStatus() != 0 {
			t.Fatalf("%+v", e)
		}
		fds, rest, _ := strings.Cut(out, "SigIgn:\t")
		if got, want := strings.Fields(fds), append(leaks(t), "0", "1", "2", "5"); !sameSet(got, want) {
			t.Errorf("payload has descriptors %v, expected %v", got, want)
		}
		for _, w := range []string{"0000000000000001", "from stdin\n", "a b||$x|"} {
			out := rest
			if !strings.Contains(out, w) {
				t.Errorf("payload said %q, expected %q in it", out, w)
			}
		}
		if b, err := os.ReadFile(five.Name()); err != nil || string(b) != "five\n" {
			t.Errorf("descriptor 5: %q %v", b, err)
		}
	})
}

// leaks are descriptors that this test was itself started with; they go through like any other.
func leaks(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd <= 2 || fd == 3 || fd == 4 || fd == 5 {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			found = append(found, e.Name())
		}
	}
	return found
}

func sameSet(a, b []string) bool {
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// Signals that were blocked when we started are blocked in the payload, and no others. (Those that end
// a Go program, TERM among them, are unblocked by its runtime before any code of ours runs.)
func TestBlockedSignals(t *testing.T) {
	eachMode(t, func(t *testing.T, isolate string) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var old unix.Sigset_t
		block := unix.Sigset_t{}
		block.Val[0] = 1<<(uint(unix.SIGUSR2)-1) | 1<<(uint(unix.SIGWINCH)-1)
		if err := unix.PthreadSigmask(unix.SIG_BLOCK, &block, &old); err != nil {
			t.Fatal(err)
		}
		g := startGuard(t, options{})
		if err := unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil); err != nil {
			t.Fatal(err)
		}
		send(t, g.pid, syscall.SIGTERM)
		g.event(SignalReceived)
		if out, e := g.output(isolate, payloadSpec("grep", "SigBlk", "/proc/self/status")); out != "SigBlk:\t0000000008000800\n" {
			t.Errorf("%q %+v", out, e)
		}
	})
}

func TestEnvironmentIsScrubbed(t *testing.T) {
	eachMode(t, func(t *testing.T, isolate string) {
		g := startGuard(t, options{env: []string{"KEPT=a", "TWICE=inherited"}})
		spec := payloadSpec("env")
		spec.Env = append(spec.Env, "TWICE=ours")
		out, _ := g.output(isolate, spec)
		for _, bad := range []string{"INTERLOCK_SECRET", "S3_KEY", linkVariable, "TWICE=inherited"} {
			if strings.Contains(out, bad) {
				t.Errorf("the payload got %s", bad)
			}
		}
		for _, good := range []string{"KEPT=a", "TWICE=ours", "INTERLOCK_TOKEN=7"} {
			if !strings.Contains(out, good+"\n") {
				t.Errorf("the payload did not get %s", good)
			}
		}
	})
}

func TestCommandsThatCannotRun(t *testing.T) {
	eachMode(t, func(t *testing.T, isolate string) {
		plain := filepath.Join(t.TempDir(), "plain")
		if err := os.WriteFile(plain, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		g := startGuard(t, options{})
		g.prepare(isolate, 0)
		g.lease(time.Minute)
		cases := []struct {
			spec  Spec
			stage string
			errno syscall.Errno
		}{
			{Spec{Argv: []string{"no-such-command"}}, StageExec, syscall.ENOENT},
			{Spec{Argv: []string{"/no/such/command"}}, StageExec, syscall.ENOENT},
			{Spec{Argv: []string{plain}}, StageExec, syscall.EACCES},
			{Spec{Argv: []string{"plain"}, Env: []string{"PATH=" + filepath.Dir(plain) + ":/bin"}}, StageExec, syscall.EACCES},
			{Spec{Argv: []string{"/"}}, StageExec, syscall.EACCES},
			{Spec{Argv: []string{"true"}, Dir: "/no/such/dir"}, "chdir", syscall.ENOENT},
			{Spec{Argv: nil}, "fork", syscall.EINVAL},
			{Spec{Argv: []string{"true"}, ArgvFrom: 99}, "fork", syscall.EINVAL},
		}
		for i, c := range cases {
			c.spec.ID, c.spec.Tenure, c.spec.Payload = uint32(i+1), 1, c.spec.ArgvFrom == 0
			g.order(command{Op: "start", Spec: c.spec})
			if e := g.event(StartFailed); e.Stage != c.stage || e.Errno != c.errno || e.ID != uint32(i+1) {
				t.Errorf("%v: %+v, expected %s %v", c.spec.Argv, e, c.stage, c.errno)
			}
		}
		g.order(command{Op: "kill", Tenure: 1})
		g.event(Empty)
		for _, r := range g.backlog {
			if r.Event != nil && r.Event.Kind == Exited {
				t.Errorf("a start that failed was told as an exit: %+v", r.Event)
			}
		}
	})
}

func TestCredentialDirAndWorker(t *testing.T) {
	eachMode(t, func(t *testing.T, isolate string) {
		g := startGuard(t, options{})
		spec := payloadSpec("sh", "-c", "id -u; id -g; id -G; pwd; grep CapEff /proc/self/status")
		spec.Dir, spec.Credential = "/usr", &Credential{UID: 65534, GID: 65533, Groups: []uint32{7, 8}}
		out, e := g.output(isolate, spec)
		if want := "65534\n65533\n65533 7 8\n/usr\nCapEff:\t0000000000000000\n"; out != want {
			t.Errorf("%q, expected %q (%+v)", out, want, e)
		}
		path := filepath.Join(filepath.Dir(g.stderr), "worker")
		g.order(command{Op: "start", Path: path, Spec: Spec{ID: 2, Tenure: 1, Worker: true, Argv: []string{"x", "y"}}})
		if e := g.event(Exited); e.ID != 2 || e.Status.ExitStatus() != 3 {
			t.Errorf("worker: %+v", e)
		}
		if b, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(b), "worker [x y] ") {
			t.Errorf("worker: %q %v", b, err)
		}
	})
}

// In a namespace a payload sees its own processes; workers and hooks keep the outer view.
func TestOwnProc(t *testing.T) {
	needRoot(t)
	g := startGuard(t, options{})
	out, e := g.output(IsolatePIDNS, payloadSpec("sh", "-c", "readlink /proc/self/ns/mnt; test -d /proc/$$ && test $(readlink /proc/self) -lt 100 && ls -d /proc/[0-9]* | wc -l"))
	lines := strings.Fields(out)
	own, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil || len(lines) != 2 || lines[0] == own {
		t.Fatalf("%q %+v %v", out, e, err)
	}
	if n, err := strconv.Atoi(lines[1]); err != nil || n > 6 {
		t.Errorf("the payload sees %s processes", lines[1])
	}
	g.order(command{Op: "start", Path: filepath.Join(filepath.Dir(g.stderr), "hook"), Spec: Spec{ID: 2, Tenure: 1, Argv: []string{"readlink", "/proc/1/ns/mnt"}}})
	g.event(Exited)
}

func TestSignals(t *testing.T) {
	eachMode(t, func(t *testing.T, isolate string) {
		g := startGuard(t, options{})
		g.prepare(isolate, 0)
		g.lease(time.Minute)
		path := filepath.Join(filepath.Dir(g.stderr), "out")
		said := func(want string) func() bool {
			return func() bool { b, err := os.ReadFile(path); return err == nil && string(b) == want }
		}
		g.order(command{Op: "start", Spec: payloadSpec(self(t), "payload-under-test", "usr1"), Path: path})
		g.event(Started)
		eventually(t, "payload is ready", said("ready\n"))
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
			send(t, g.pid, sig)
			if e := g.event(SignalReceived); e.Signal != sig {
				t.Errorf("agent heard %v, expected %v", e.Signal, sig)
			}
			send(t, g.agent, sig) // a sender that signals the whole tree
		}
		send(t, g.pid, syscall.SIGUSR1)
		eventually(t, "USR1 is forwarded, nothing else", said("ready\nuser defined signal 1\n"))
		g.order(command{Op: "signal", ID: 1, Signal: int(syscall.SIGTERM)})
		eventually(t, "TERM by order", said("ready\nuser defined signal 1\nterminated\n"))
		g.order(command{Op: "killone", ID: 1})
		if e := g.event(Exited); !e.Status.Signaled() {
			t.Errorf("%+v", e)
		}
	})
}

func TestOrphansAreReaped(t *testing.T) {
	n := 10000
	if testing.Short() {
		n = 1000
	}
	for _, isolate := range []string{IsolatePIDNS, IsolateNone} {
		t.Run(isolate, func(t *testing.T) {
			needRoot(t)
			g := startGuard(t, options{})
			g.begin(isolate, 0, 2*time.Minute, self(t), "payload-under-test", "orphans", strconv.Itoa(n))
			for id := uint32(2); id < 12; id++ { // statuses in the middle of it
				g.order(command{Op: "start", Spec: Spec{ID: id, Tenure: 1, Argv: []string{"sh", "-c", "exit " + strconv.Itoa(int(id))}}})
				if e := g.event(Exited); e.ID != id || e.Status.ExitStatus() != int(id) {
					t.Errorf("hook %d: %+v", id, e)
				}
			}
			if e := g.event(Exited); e.ID != 1 || e.Status.ExitStatus() != 0 {
				t.Errorf("payload: %+v", e)
			}
			eventually(t, "no zombie is left", func() bool {
				return len(below(&process.Lookout{}, g.pid, g.agent)) <= 1 // the namespace's init
			})
		})
	}
}
