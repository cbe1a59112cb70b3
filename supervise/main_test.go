package supervise

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/process"
)

// The test binary is its own guard, agent, init, gate and payload, because the guard starts
// /proc/self/exe. As in the product the roles run before main, on the main thread.
func init() {
	var role func() int
	switch {
	case os.Args[0] == RoleInit:
		role = NamespaceInit
	case os.Args[0] == RoleGate:
		role = Gate
	case os.Args[0] == RoleSpare, os.Args[0] == RoleWorkerSpare:
		role = Spare
	case os.Args[0] == RoleAgent:
		role = scriptedAgent
	case os.Args[0] == RoleWorker, os.Args[0] == RoleCourier:
		role = testWorker
	case len(os.Args) > 2 && os.Args[1] == "run" && os.Args[2] == "guard-under-test":
		role = Guard
		if os.Getenv("PANIC_ON") != "" {
			role = guardWithFuse
		}
	case len(os.Args) > 1 && os.Args[1] == "payload-under-test":
		role = testPayload
	}
	if role == nil {
		return
	}
	code := role()
	if code == BeWorker {
		code = testWorker()
	}
	os.Exit(code)
}

func TestMain(m *testing.M) { os.Exit(m.Run()) }

// A command is one order of a test to the agent process.
type command struct {
	Op       string
	Settings Settings
	Tenure   uint64
	Left     time.Duration // lease: from now
	Spec     Spec
	ID       uint32
	Signal   int
	Path     string // keep: the file; stdout of a start
	Env      []string
	Code     int
	Timeout  time.Duration
}

// A reply is an event of the guard or the answer to a command.
type reply struct {
	Event *Event
	Op    string // answered command
	Err   string
	Proof Proof
	PID   int
	Guard int
	End   bool // Events was closed
}

// scriptedAgent connects to the guard and does what the test says over a unix socket.
func scriptedAgent() int {
	IgnoreStopSignals()
	l, err := Connect()
	if err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		return 99
	}
	c, err := net.Dial("unix", os.Getenv("AGENT_SOCKET"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		return 98
	}
	replies := make(chan reply, 1024)
	go func() {
		enc := json.NewEncoder(c)
		for r := range replies {
			_ = enc.Encode(r) // a test that went away needs no answers
		}
	}()
	replies <- reply{Op: "hello", PID: os.Getpid(), Guard: l.GuardPID()}
	go func() {
		for e := range l.Events() {
			replies <- reply{Event: &e}
		}
		replies <- reply{End: true}
	}()
	return obeyTest(l, c, replies)
}

func obeyTest(l *Link, c net.Conn, replies chan<- reply) int {
	dec := json.NewDecoder(c)
	for {
		var cmd command
		if dec.Decode(&cmd) != nil {
			return 97
		}
		if cmd.Op == "exit" {
			return cmd.Code
		}
		r := reply{Op: cmd.Op}
		if err := runCommand(l, cmd, &r); err != nil {
			r.Err = err.Error()
		}
		replies <- r
	}
}

// A guarded is a guard under test with its agent.
type guarded struct {
	t       *testing.T
	pid     int // of the guard
	agent   int
	conn    net.Conn
	enc     *json.Encoder
	replies chan reply
	backlog []reply
	exited  chan struct{}
	status  syscall.WaitStatus
	mark    string
	stderr  string
	cgroup  string // made by the guard; removed at the latest by cleanup
}

// options of starting a guard.
type options struct {
	exe   string     // of the guard, instead of this test's own
	wrap  []string   // command in front: setpriv, unshare
	argv  []string   // after "guard-under-test"
	files []*os.File // from 3 on
	env   []string
	stdin *os.File
	out   *os.File
}

func (o options) environ(socket, mark string) []string {
	env := append(os.Environ(), "AGENT_SOCKET="+socket, "TEST_MARK="+mark, "INTERLOCK_SECRET=x", "S3_KEY=y")
	return append(env, o.env...)
}

func startGuard(t *testing.T, o options) *guarded {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "sup")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	g := &guarded{t: t, mark: filepath.Base(dir), replies: make(chan reply, 4096), exited: make(chan struct{}), stderr: filepath.Join(dir, "stderr")}
	listener, err := net.Listen("unix", filepath.Join(dir, "agent"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := os.Chmod(filepath.Join(dir, "agent"), 0o777); err != nil {
		t.Fatal(err)
	}
	g.launch(o, listener.Addr().String())
	listener.(*net.UnixListener).SetDeadline(time.Now().Add(20 * time.Second))
	g.conn, err = listener.Accept()
	if err != nil {
		b, _ := os.ReadFile(g.stderr)
		t.Fatalf("the agent did not connect: %v; stderr: %s", err, b)
	}
	g.enc = json.NewEncoder(g.conn)
	go g.read()
	hello := g.reply("hello")
	g.agent = hello.PID
	return g
}

func (g *guarded) launch(o options, socket string) {
	g.t.Helper()
	exe := o.exe
	if exe == "" {
		exe = self(g.t)
	}
	argv := append(append(append([]string{}, o.wrap...), exe, "run", "guard-under-test"), o.argv...)
	stderr, err := os.Create(g.stderr)
	if err != nil {
		g.t.Fatal(err)
	}
	defer stderr.Close()
	stdin, out := o.stdin, o.out
	if stdin == nil {
		stdin, _ = os.Open(os.DevNull)
		defer stdin.Close()
	}
	if out == nil {
		out = stderr
	}
	path := argv[0]
	if !strings.Contains(path, "/") {
		path = "/usr/bin/" + path
	}
	p, err := os.StartProcess(path, argv, &os.ProcAttr{Env: o.environ(socket, g.mark),
		Files: append([]*os.File{stdin, out, stderr}, o.files...)})
	if err != nil {
		g.t.Fatal(err)
	}
	g.pid = p.Pid
	go func() {
		defer close(g.exited)
		if st, err := p.Wait(); err == nil {
			g.status = st.Sys().(syscall.WaitStatus)
		}
	}()
	g.t.Cleanup(g.cleanup)
}

// cleanup leaves nothing behind, however the test ended.
func (g *guarded) cleanup() {
	if g.conn != nil {
		g.conn.Close()
	}
	select {
	case <-g.exited:
	default:
		_ = syscall.Kill(g.pid, syscall.SIGKILL)
		<-g.exited
	}
	eventually(g.t, "nothing is left behind", func() bool { // a shell may start the next sleep meanwhile
		left := g.survivors()
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		return len(left) == 0
	})
	if g.cgroup != "" {
		if _, err := os.Stat(g.cgroup); err == nil {
			g.t.Log("the guard was killed and left its cgroup")
			eventually(g.t, "its cgroup can be removed", func() bool { return (&cgroup{dir: g.cgroup}).close() == nil })
		}
	}
	if g.t.Failed() {
		b, _ := os.ReadFile(g.stderr)
		g.t.Logf("stderr of the guard's tree:\n%s", b)
	}
}

func (g *guarded) read() {
	dec := json.NewDecoder(bufio.NewReader(g.conn))
	defer close(g.replies)
	for {
		var r reply
		if dec.Decode(&r) != nil {
			return
		}
		g.replies <- r
	}
}

// limit is how long a test waits for one real event.
const limit = 20 * time.Second

// await returns the first reply that fits and keeps the others for later.
func (g *guarded) await(what string, fits func(reply) bool) reply {
	g.t.Helper()
	for i, r := range g.backlog {
		if fits(r) {
			g.backlog = append(g.backlog[:i:i], g.backlog[i+1:]...)
			return r
		}
	}
	timeout := time.After(limit)
	for {
		select {
		case r, ok := <-g.replies:
			if !ok {
				g.t.Fatalf("waiting for %s: the agent is gone; seen: %s", what, g.seen())
			}
			if fits(r) {
				return r
			}
			g.backlog = append(g.backlog, r)
		case <-timeout:
			g.t.Fatalf("waiting for %s: nothing in %v; seen: %s", what, limit, g.seen())
		}
	}
}

func (g *guarded) seen() string {
	b, _ := json.Marshal(g.backlog)
	return string(b)
}

func (g *guarded) reply(op string) reply {
	g.t.Helper()
	return g.await("answer to "+op, func(r reply) bool { return r.Op == op })
}

func (g *guarded) event(kind EventKind) Event {
	g.t.Helper()
	return *g.await(fmt.Sprintf("event %d", kind), func(r reply) bool { return r.Event != nil && r.Event.Kind == kind }).Event
}

// order sends a command and waits until the agent has done it.
func (g *guarded) order(c command) reply {
	g.t.Helper()
	if err := g.enc.Encode(c); err != nil {
		g.t.Fatal(err)
	}
	if c.Op == "exit" {
		return reply{}
	}
	r := g.reply(c.Op)
	if r.Err != "" && c.Op != "takeover" {
		g.t.Fatalf("%s: %s", c.Op, r.Err)
	}
	return r
}

func (g *guarded) prepare(isolate string, grace time.Duration) Domain {
	g.t.Helper()
	g.order(command{Op: "prepare", Settings: Settings{Isolate: isolate, Grace: grace, KillBudget: 200 * time.Millisecond, Scrub: []string{"S3_KEY"}}})
	r := g.await("ready", func(r reply) bool {
		return r.Event != nil && (r.Event.Kind == Ready || r.Event.Kind == Refused)
	})
	if r.Event.Kind == Refused {
		g.t.Fatal(r.Event.Text)
	}
	g.cgroup = r.Event.Domain.Cgroup
	return r.Event.Domain
}

func (g *guarded) lease(left time.Duration) {
	g.t.Helper()
	g.order(command{Op: "lease", Tenure: 1, Left: left})
}

// begin is prepare, a lease, and a payload that has started.
func (g *guarded) begin(isolate string, grace, left time.Duration, argv ...string) Event {
	g.t.Helper()
	g.prepare(isolate, grace)
	g.lease(left)
	g.order(command{Op: "start", Spec: Spec{ID: 1, Tenure: 1, Payload: true, Argv: argv, Env: []string{"INTERLOCK_TOKEN=7", "INTERLOCK_LOCK=l-" + g.mark}}})
	return g.event(Started)
}

// exit waits for the guard's end.
func (g *guarded) exit() syscall.WaitStatus {
	g.t.Helper()
	select {
	case <-g.exited:
		return g.status
	case <-time.After(limit):
		g.t.Fatal("the guard does not exit")
		return 0
	}
}

func (g *guarded) wantCode(code int) {
	g.t.Helper()
	if st := g.exit(); !st.Exited() || st.ExitStatus() != code {
		g.t.Fatalf("guard ended with %#x, expected exit code %d", uint32(st), code)
	}
}

// finishes asks the guard for its last word, and to end with this code.
func (g *guarded) finishes(code int) {
	g.t.Helper()
	g.order(command{Op: "finish", Tenure: 1})
	g.event(Dead)
	g.order(command{Op: "exit", Code: code})
	g.wantCode(code)
}

// survivors are the living processes of the kill domain: those with this run's mark and a token, which
// guard and agent do not have.
func (g *guarded) survivors() []int {
	all, err := process.Numbers()
	if err != nil {
		g.t.Fatal(err)
	}
	var found []int
	for _, pid := range all {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err == nil && !process.Ended(pid) && holdsAll(string(b), []string{"TEST_MARK=" + g.mark}) && pid != g.pid && pid != g.agent {
			found = append(found, pid)
		}
	}
	return found
}

func (g *guarded) payloadProcesses() int {
	n := 0
	for _, pid := range g.survivors() {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err == nil && holdsAll(string(b), []string{"INTERLOCK_TOKEN=7"}) {
			n++
		}
	}
	return n
}

// eventually polls with a bounded ticker for what has no event of its own.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(limit)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("never: %s", what)
		}
	}
}

func (g *guarded) wantNobody() {
	g.t.Helper()
	eventually(g.t, "kill domain is empty", func() bool { return len(g.survivors()) == 0 })
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

func stampIn(d time.Duration) clock.Stamp { return clock.Now().Add(d) }

func ignoreAll() {
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		signal.Ignore(s)
	}
}
