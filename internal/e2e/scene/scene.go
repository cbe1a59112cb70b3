// Package scene is what the end-to-end tests share: the built binary as jobs on one lock and one data
// directory, a payload that leaves a trace, and the judge of the trace.
//
// Promise: a job is driven and watched from outside alone (flags, signals, its status page, exit code,
// reason file, the trace). Non-promise: it proves nothing about a service that no test starts. Imported by
// tests only; it imports nothing of the product.
package scene

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
)

// Quick is a timing for tests: hold 4 s, so that a take-over without the holder's word takes about as long.
func Quick() []string {
	return []string{"--hold", "4s", "--heartbeat", "300ms", "--try-timeout", "400ms", "--tries", "3",
		"--grace", "500ms", "--kill-budget", "500ms", "--margin", "100ms"}
}

// Hold is Quick's hold.
const Hold = 4 * time.Second

// A Scene is one lock and one data directory.
type Scene struct {
	Dir, Data, State, Trace string
	Lock                    string // URL
	Timing                  []string
}

// New makes a scene with a file lock.
func New(t testing.TB) *Scene {
	t.Helper()
	dir := testkit.PublicDir(t)
	s := &Scene{
		Dir: dir, Data: filepath.Join(dir, "data"), State: filepath.Join(dir, ".interlock"),
		Trace: filepath.Join(dir, "trace"), Lock: "file://" + filepath.Join(dir, "lock"), Timing: Quick(),
	}
	if err := os.Mkdir(s.Data, 0o777); err != nil {
		t.Fatal(err)
	}
	return s
}

// A Job is one `interlock run`.
type Job struct {
	*testkit.Process
	Holder string
	Reason string // file
	socket string
	scene  *Scene
	traced bool // the payload leaves a trace in the scene's
}

// An Option changes how a job is started.
type Option func(*start)

type start struct {
	flags   []string
	wrapper func(testing.TB, ...string) []string
	env     []string
	command []string
	traced  bool
	cmd     func(*exec.Cmd)
}

// Flags adds flags of `interlock run`.
func Flags(f ...string) Option { return func(s *start) { s.flags = append(s.flags, f...) } }

// Wrapped starts the job through a wrapper such as testkit.AsPID1 or testkit.Unprivileged.
func Wrapped(w func(testing.TB, ...string) []string) Option { return func(s *start) { s.wrapper = w } }

// Env adds variables.
func Env(e ...string) Option { return func(s *start) { s.env = append(s.env, e...) } }

// Command replaces the payload by an argv of its own.
func Command(argv ...string) Option { return func(s *start) { s.command, s.traced = argv, false } }

// Cmd changes the exec.Cmd itself: descriptors, terminal, directory.
func Cmd(change func(*exec.Cmd)) Option { return func(s *start) { s.cmd = change } }

// Payload runs the tracing payload with these flags (the default has none).
func (s *Scene) Payload(t testing.TB, flags ...string) Option {
	argv := append([]string{PayloadBinary(t), "-log", s.Trace}, flags...)
	return func(s *start) { s.command, s.traced = argv, true }
}

// Run starts a job under this holder name.
func (s *Scene) Run(t testing.TB, holder string, options ...Option) *Job {
	t.Helper()
	j := &Job{Holder: holder, scene: s, socket: filepath.Join(s.Dir, holder+".sock"), Reason: filepath.Join(s.Dir, holder+".reason")}
	st := &start{}
	for _, o := range options {
		o(st)
	}
	if st.command == nil {
		s.Payload(t)(st)
	}
	args := append([]string{testkit.Binary(t), "run", "--lock", s.Lock, "--data", s.Data, "--holder", holder,
		"--listen", "unix:" + j.socket, "--reason-file", j.Reason, "--log-format", "text", "--log-level", "debug"}, s.Timing...)
	args = append(append(append(args, st.flags...), "--"), st.command...)
	if st.wrapper != nil {
		args = st.wrapper(t, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(clean(os.Environ()), st.env...)
	if st.cmd != nil {
		st.cmd(cmd)
	}
	j.Process, j.traced = testkit.StartCmd(t, cmd), st.traced
	return j
}

// clean takes our own variables out, so that a test inside a run is no inner run.
func clean(env []string) []string {
	var kept []string
	for _, e := range env {
		if !strings.HasPrefix(e, "INTERLOCK_") {
			kept = append(kept, e)
		}
	}
	return kept
}

// Interlock runs another verb to its end: exit code, stdout and stderr.
func Interlock(t testing.TB, args ...string) (int, string, string) {
	t.Helper()
	cmd := exec.Command(testkit.Binary(t), args...)
	cmd.Env = clean(os.Environ())
	p := testkit.StartCmd(t, cmd)
	code := p.Wait(t, 60*time.Second)
	return code, p.Stdout(t), p.Stderr(t)
}

// Status is what tests read of /status.
type Status struct {
	Phase string
	Lock  struct {
		Held      bool
		Token     string
		Ahead     string
		Fencing   string
		LeaseLeft float64 `json:"lease_left_seconds"`
	}
	Payload struct {
		PID      int
		OOMKills *uint64 `json:"oom_kills"`
	}
	KillMode string `json:"kill_mode"`
	Stuck    []int
	Drain    string `json:"drain_overdue"`
	Restore  *struct{ Action, Reason string }
	Mounts   []struct{ Path, Finding, Policy string }
	// Snapshots is nil for a run without a store.
	Snapshots *struct {
		Newest   string
		Failure  string                 `json:"last_failure"`
		Backups  map[string]int         // by result
		UnderWay *struct{ What string } `json:"under_way"`
	}
}

// Get asks the job's health server.
func (j *Job) Get(page string) (int, string, error) {
	c := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", j.socket)
		}}}
	resp, err := c.Get("http://interlock" + page)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// Status is the job's status page; the error says that nobody answers.
func (j *Job) Status() (Status, error) {
	_, body, err := j.Get("/status")
	if err != nil {
		return Status{}, err
	}
	var st Status
	err = json.Unmarshal([]byte(body), &st)
	return st, err
}

// WaitPhase waits until the job is in the phase, and gives its status then. It fails at once if the job
// ends instead.
func (j *Job) WaitPhase(t testing.TB, limit time.Duration, phase string) Status {
	t.Helper()
	var st Status
	testkit.Wait(t, limit+testkit.Busy(t), func() (bool, string) {
		select {
		case <-j.Exited():
			t.Fatalf("%s ended instead of coming to %s: %s", j.Holder, phase, j.ReasonText())
		default:
		}
		var err error
		if st, err = j.Status(); err != nil {
			return false, fmt.Sprintf("%s: no status: %v", j.Holder, err)
		}
		if st.Phase == phase && phase == "serving" && j.traced && !j.scene.begun(t, st.Lock.Token) {
			return false, j.Holder + "'s payload has not begun: it would die of a signal that it is to handle"
		}
		return st.Phase == phase, fmt.Sprintf("%s is %s, not %s", j.Holder, st.Phase, phase)
	})
	return st
}

func (s *Scene) begun(t testing.TB, token string) bool {
	return slices.ContainsFunc(s.Lines(t), func(l Line) bool { return l.Event == "begin" && strconv.FormatUint(l.Token, 10) == token })
}

// Serving waits until the payload serves.
func (j *Job) Serving(t testing.TB) Status {
	t.Helper()
	return j.WaitPhase(t, 20*time.Second, "serving")
}

// ReasonText is what the reason file says; empty if there is none.
func (j *Job) ReasonText() string {
	b, err := os.ReadFile(j.Reason)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// Expect waits for the end and fails unless the exit code is this one; it gives the reason.
func (j *Job) Expect(t testing.TB, limit time.Duration, code int) string {
	t.Helper()
	if got := j.Wait(t, limit+testkit.Busy(t)); got != code {
		t.Errorf("%s ended with %d (%s), expected %d", j.Holder, got, j.ReasonText(), code)
	}
	return j.ReasonText()
}

// Stop sends TERM and waits for the end.
func (j *Job) Stop(t testing.TB) int {
	t.Helper()
	j.Signal(t, syscall.SIGTERM)
	return j.Wait(t, 20*time.Second)
}

// Agent is the pid of the job's agent process: the guard's child by that name. Guard is the job's own pid
// (where it was not wrapped).
func (j *Job) Agent(t testing.TB) int { t.Helper(); return j.child(t, "interlock-agent") }

// Init is the pid of the namespace's init.
func (j *Job) Init(t testing.TB) int { t.Helper(); return j.child(t, "interlock-init") }

func (j *Job) child(t testing.TB, name string) int {
	t.Helper()
	pid := 0
	testkit.Wait(t, 10*time.Second, func() (bool, string) {
		for _, p := range testkit.Descendants(j.Pid()) {
			line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p))
			if err == nil && strings.HasPrefix(string(line), name) {
				pid = p
				return true, ""
			}
		}
		return false, "no " + name
	})
	return pid
}

var (
	payloadOnce sync.Once
	payloadPath string
	payloadErr  error
)

// PayloadVar names a payload that was built before, for where there is no Go.
const PayloadVar = "SCENE_PAYLOAD"

// PayloadBinary builds the payload once for this test process. Any user may run it.
func PayloadBinary(t testing.TB) string {
	t.Helper()
	payloadOnce.Do(func() { payloadPath, payloadErr = buildPayload() })
	if payloadErr != nil {
		t.Fatal(payloadErr)
	}
	return payloadPath
}

func buildPayload() (string, error) {
	if path := os.Getenv(PayloadVar); path != "" {
		return path, nil
	}
	root, err := testkit.ModuleRoot()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "payload")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "payload")
	cmd := exec.Command("go", "build", "-o", path, "./internal/e2e/payload")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the payload: %w: %s", err, out)
	}
	return path, nil
}

// Scope is the lock as a claim names it: kind and path, without the servers.
func (s *Scene) Scope() string {
	scheme, rest, _ := strings.Cut(s.Lock, "://")
	return scheme + ":" + rest[strings.Index(rest, "/"):]
}

// All is several options as one.
func All(options ...Option) Option {
	return func(s *start) {
		for _, o := range options {
			o(s)
		}
	}
}
