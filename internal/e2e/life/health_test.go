package life

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// page gets a page of a job and checks its HTTP status.
func page(t *testing.T, j *scene.Job, path string, want int) string {
	t.Helper()
	code, body, err := j.Get(path)
	if err != nil || code != want {
		t.Errorf("%s of %s: %d, %v: expected %d", path, j.Holder, code, err, want)
	}
	return body
}

// metric is one sample of a page of metrics, -1 if there is none.
func metric(body, name string) string {
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
			return value
		}
	}
	return "missing"
}

// ask runs status or ready against a job.
func ask(t *testing.T, j *scene.Job, verb string, want int, more ...string) string {
	t.Helper()
	code, out, errs := scene.Interlock(t, append([]string{verb, "--listen", "unix:" + j.Socket()}, more...)...)
	if code != want {
		t.Errorf("%s of %s: exit code %d: expected %d: %s", verb, j.Holder, code, want, errs)
	}
	return out
}

func TestHealth(t *testing.T) {
	t.Parallel()
	s := calm(t)
	a := s.Run(t, "a")
	a.Serving(t)
	b := s.Run(t, "b")
	b.WaitPhase(t, limit, "locking")
	for _, c := range []struct {
		job         *scene.Job
		phase, held string
		ready, code int
	}{{a, "serving", "1", 200, 0}, {b, "locking", "0", 503, 1}} {
		page(t, c.job, "/livez", 200) // a waiting contender is alive
		page(t, c.job, "/readyz", c.ready)
		page(t, c.job, "/no-such-page", 404)
		m := page(t, c.job, "/metrics", 200)
		for name, want := range map[string]string{
			"interlock_lock_held": c.held, `interlock_phase{phase="` + c.phase + `"}`: "1", "interlock_lock_token": c.held,
			`interlock_phase{phase="stopping"}`: "0", "interlock_stuck_processes": "0", "interlock_late_writes_possible": "0",
		} {
			if got := metric(m, name); got != want {
				t.Errorf("%s: %s is %s: expected %s", c.job.Holder, name, got, want)
			}
		}
		ask(t, c.job, "ready", c.code)
		if out := ask(t, c.job, "status", 0); !strings.Contains(out, c.phase) {
			t.Errorf("status of %s: %s", c.job.Holder, out)
		}
		var st scene.Status
		if err := json.Unmarshal([]byte(ask(t, c.job, "status", 0, "--json")), &st); err != nil || st.Phase != c.phase || st.Lock.Held != (c.held == "1") {
			t.Errorf("status --json of %s: %+v, %v", c.job.Holder, st, err)
		}
	}
	testkit.Wait(t, limit, func() (bool, string) {
		st, err := b.Status()
		return err == nil && st.Lock.Ahead == "a", fmt.Sprintf("b waits behind %q, %v: expected a", st.Lock.Ahead, err)
	})
	if st, err := a.Status(); err != nil || st.Lock.LeaseLeft <= 0 || st.Payload.PID == 0 || len(st.Mounts) == 0 || st.Restore == nil {
		t.Errorf("%+v, %v: expected lease, payload, mounts and restore decision", st, err)
	}
	a.Stop(t)
	ask(t, a, "ready", 69) // nobody answers
	ask(t, a, "status", 69)
}

// --listen on TCP, and a port that is taken: 78, and nothing was started.
func TestListenOnTCP(t *testing.T) {
	t.Parallel()
	s := calm(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	mark := filepath.Join(s.Dir, "mark")
	p := start(t, nil, plain(s, "--listen", taken.Addr().String(), "--", "touch", mark)...)
	if code := p.Wait(t, limit); code != 69 {
		t.Errorf("a port that is taken: %d: expected 69", code)
	}
	if _, err := os.Lstat(mark); !os.IsNotExist(err) {
		t.Errorf("the payload ran: %v", err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	p = start(t, nil, plain(s, "--listen", addr, "--", "sleep", "100")...)
	testkit.Wait(t, limit, func() (bool, string) {
		code, out, errs := scene.Interlock(t, "ready", "--listen", addr)
		return code == 0, fmt.Sprint(code, out, errs)
	})
	p.Signal(t, stopSignals[0])
	if code := p.Wait(t, limit); code != 143 {
		t.Errorf("ended with %d: expected 143", code)
	}
}

// Another program's server is no run, in JSON neither: a script must not take its page for a status.
func TestAnotherServerIsNoRun(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.HandlerFunc{
		"without the page":       http.NotFound,
		"with a page of its own": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>hello</html>") },
	} {
		web := httptest.NewServer(h)
		defer web.Close()
		for _, flags := range [][]string{nil, {"--json"}} {
			args := append([]string{"status", "--listen", web.Listener.Addr().String()}, flags...)
			if code, out, errs := scene.Interlock(t, args...); code != 69 || out != "" || !strings.Contains(errs, "--listen") {
				t.Errorf("%s: %q: %d, %q, %q: expected 69, and what to do", name, flags, code, out, errs)
			}
		}
	}
}

// A socket that nobody answers on is replaced; a file, or the socket of a living run, is not.
func TestUnixSocket(t *testing.T) {
	t.Parallel()
	s := calm(t)
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(s.Dir, "a.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	a := s.Run(t, "a")
	a.Serving(t)

	other := calm(t)
	mark := filepath.Join(other.Dir, "mark")
	p := start(t, nil, plain(other, "--listen", "unix:"+a.Socket(), "--", "touch", mark)...)
	if code := p.Wait(t, limit); code != 69 {
		t.Errorf("the socket of a living run: %d: expected 69", code)
	}
	page(t, a, "/readyz", 200)

	file := filepath.Join(s.Dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	p = start(t, nil, plain(other, "--listen", "unix:"+file, "--", "touch", mark)...)
	if code := p.Wait(t, limit); code != 78 {
		t.Errorf("a file at the socket's place: %d: expected 78", code)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Errorf("the file is %q, %v", b, err)
	}
	if _, err := os.Lstat(mark); !os.IsNotExist(err) {
		t.Errorf("a payload ran: %v", err)
	}
	a.Stop(t)
	if _, err := os.Lstat(a.Socket()); !os.IsNotExist(err) {
		t.Errorf("the socket was left behind: %v", err)
	}
}
