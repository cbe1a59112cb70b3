package life

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

func TestExitCodesPassThrough(t *testing.T) {
	t.Parallel()
	s := calm(t)
	for _, code := range []int{0, 1, 2, 64, 70, 75, 76, 78, 126, 127, 128, 129, 137, 143, 200, 254, 255} {
		why := s.Run(t, "c"+strconv.Itoa(code), scene.Command("sh", "-c", "exit "+strconv.Itoa(code))).Expect(t, limit, code)
		if !strings.Contains(why, strconv.Itoa(code)) {
			t.Errorf("code %d: reason %q does not name it", code, why)
		}
	}
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL, syscall.SIGSEGV, syscall.SIGTERM, syscall.SIGUSR1} {
		s.Run(t, "s"+strconv.Itoa(int(sig)), scene.Command("sh", "-c", "ulimit -c 0; kill -"+strconv.Itoa(int(sig))+" $$")).Expect(t, limit, 128+int(sig))
	}
}

func TestCommandsThatCannotRun(t *testing.T) {
	t.Parallel()
	s := calm(t)
	file, garbage := filepath.Join(s.Dir, "file"), filepath.Join(s.Dir, "garbage")
	for path, mode := range map[string]os.FileMode{file: 0o644, garbage: 0o755} {
		if err := os.WriteFile(path, []byte{0, 1, 2, 3}, mode); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range []struct {
		path string
		code int
	}{{"/no/such/command", 127}, {"no-such-command", 127}, {file + "/below", 126}, {s.Data, 126}, {file, 126}, {garbage, 126}, {"", 78}} {
		for _, isolate := range isolations {
			j := s.Run(t, fmt.Sprint(i, isolate), scene.Command(c.path), scene.Flags("--isolate", isolate))
			why := j.Expect(t, limit, c.code)
			if c.path != "" && !strings.Contains(why, c.path) {
				t.Errorf("%q, %s: reason %q does not name it", c.path, isolate, why)
			}
		}
	}
}

// reason is the whole file, which must be one line of at most 4096 bytes.
func reason(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text, ended := strings.CutSuffix(string(b), "\n")
	if !ended || strings.Contains(text, "\n") || len(b) > 4096 {
		t.Errorf("the reason file has %d bytes %.200q: expected one line of at most 4096", len(b), b)
	}
	return text
}

// A reason longer than what Kubernetes keeps is cut; several errors become one line; an old text goes.
func TestReasonFile(t *testing.T) {
	t.Parallel()
	s := calm(t)
	path := filepath.Join(s.Dir, "reason")
	if err := os.WriteFile(path, []byte(strings.Repeat("old\n", 5000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, pad := range []string{"", "x"} { // one of both is cut in the middle of a letter
		long := "/" + pad + strings.Repeat("é", 5000)
		if code := start(t, nil, plain(s, "--reason-file", path, "--", long)...).Wait(t, limit); code != 126 {
			t.Errorf("a name that is too long: %d", code)
		}
		if text := reason(t, path); len(text) < 4000 || !utf8.ValidString(text) {
			t.Errorf("%d bytes, valid UTF-8 %v: expected what fits, in whole letters", len(text), utf8.ValidString(text))
		}
	}
	p := start(t, nil, "run", "--lock", "nothing", "--reason-file", path, "--hold", "5", "--data", "relative", "--", "true")
	if code := p.Wait(t, limit); code != 78 {
		t.Errorf("three mistakes: %d", code)
	}
	for where, text := range map[string]string{"reason file": reason(t, path), "stderr": p.Stderr(t)} {
		for _, flag := range []string{"--lock", "--hold", "--data"} {
			if !strings.Contains(text, flag) {
				t.Errorf("%s: %q does not name %s: expected all mistakes at once", where, text, flag)
			}
		}
	}
	if code := start(t, nil, plain(s, "--reason-file", path, "--", "true")...).Wait(t, limit); code != 0 {
		t.Errorf("a good run: %d", code)
	}
	if text := reason(t, path); !strings.Contains(text, "0") {
		t.Errorf("%q after a good run", text)
	}
}

// A FIFO that nobody reads takes no reason, and changes nothing else.
func TestReasonFileThatIsAFIFO(t *testing.T) {
	t.Parallel()
	s := calm(t)
	fifo := filepath.Join(s.Dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, nil, plain(s, "--reason-file", fifo, "--", "sh", "-c", "exit 9")...)
	if code := p.Wait(t, limit); code != 9 || !strings.Contains(p.Stderr(t), "cannot write the reason file") {
		t.Errorf("ended with %d, expected 9 and a complaint: %s", code, p.Stderr(t))
	}
}

// privateDev runs a command with a /dev of its own in which /dev/termination-log exists (or not), and then
// shows that file on stdout.
func privateDev(t *testing.T, dir string, exists bool, argv ...string) *testkit.Process {
	t.Helper()
	testkit.RequireRoot(t)
	script := `mount -t tmpfs none "$0" && mknod -m 666 "$0/null" c 1 3 || exit 99
test -z "$MAKE" || echo old text > "$0/termination-log"
mount --bind "$0" /dev || exit 98
"$@"; code=$?
cat /dev/termination-log; exit $code`
	cmd := exec.Command("unshare", append([]string{"--mount", "sh", "-c", script, dir}, argv...)...)
	if exists {
		cmd.Env = append(os.Environ(), "MAKE=1")
	}
	return testkit.StartCmd(t, cmd)
}

// Kubernetes' file is the default where it exists: written, never created.
func TestDefaultReasonFile(t *testing.T) {
	t.Parallel()
	s := calm(t)
	dev := t.TempDir()
	for _, c := range []struct {
		argv []string
		code int
		says string
	}{
		{plain(s, "--", "sh", "-c", "exit 9"), 9, "9"},
		{plain(s, "--tries", "x", "--", "true"), 78, "--tries"},
		{plain(s, "--lock-wait", "0", "--", "no-such-command"), 127, "no-such-command"},
	} {
		argv := append([]string{testkit.Binary(t)}, c.argv...)
		p := privateDev(t, dev, true, argv...)
		if code := p.Wait(t, limit); code != c.code {
			t.Errorf("%q ended with %d: expected %d: %s", c.argv, code, c.code, p.Stderr(t))
		}
		if out := p.Stdout(t); !strings.Contains(out, c.says) || strings.Count(out, "\n") != 1 || strings.Contains(out, "old") {
			t.Errorf("%q left %q: expected one line with %q", c.argv, out, c.says)
		}
		p = privateDev(t, dev, false, argv...)
		if code := p.Wait(t, limit); code != c.code {
			t.Errorf("without the file %q ended with %d: expected %d: %s", c.argv, code, c.code, p.Stderr(t))
		}
		if out := p.Stdout(t); out != "" {
			t.Errorf("/dev/termination-log was created: %q", out)
		}
	}
}

func TestWrongUse(t *testing.T) {
	t.Parallel()
	s := calm(t)
	mark := filepath.Join(s.Dir, "mark")
	for _, c := range []struct {
		code int
		argv []string
	}{
		{64, plain(s, "--no-such-flag", "--", "touch", mark)},
		{64, plain(s, "touch", mark)},
		{64, []string{"no-such-verb"}},
		{64, nil},
		{78, plain(s)},
		{78, plain(s, "--", "")},
		{78, []string{"run", "--data", s.Data, "--", "touch", mark}},
		{78, plain(s, "--stop-signal", "STOP", "--", "touch", mark)},
		{78, plain(s, "--isolate", "vm", "--", "touch", mark)},
		{78, plain(s, "--user", "no-such-user", "--", "touch", mark)},
		{78, plain(s, "--user", "0:no-such-group", "--", "touch", mark)},
		{73, []string{"run", "--lock", s.Lock, "--data", s.Data + "/missing", "--", "touch", mark}},
		{72, plain(s, "--mount", s.Data+",volume=x", "--", "touch", mark)},
	} {
		p := start(t, nil, c.argv...)
		if code := p.Wait(t, limit); code != c.code {
			t.Errorf("%q ended with %d: expected %d: %s", c.argv, code, c.code, p.Stderr(t))
		}
		if p.Stderr(t) == "" {
			t.Errorf("%q says nothing", c.argv)
		}
	}
	for _, path := range []string{mark, s.Data + "/missing"} {
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("%s: %v: expected that nothing was made", path, err)
		}
	}
}

// An interlock that would queue for the lock of the one around it refuses; one for another lock runs.
func TestNested(t *testing.T) {
	t.Parallel()
	s := calm(t)
	inner := append([]string{testkit.Binary(t)}, plain(s, "--", "true")...)
	why := s.Run(t, "same", scene.Command(inner...)).Expect(t, limit, 64)
	if !strings.Contains(why, "64") {
		t.Errorf("reason %q", why)
	}
	other := calm(t)
	inner = append([]string{testkit.Binary(t)}, plain(other, "--", "sh", "-c", "exit 3")...)
	s.Run(t, "other", scene.Command(inner...)).Expect(t, limit, 3)
}
