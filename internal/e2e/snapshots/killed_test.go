package snapshots

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
)

// A checking is a verification whose check command has begun, and waits for the gate.
type checking struct {
	proc    *testkit.Process
	scratch string
	gate    *os.File
	ended   string // a file that the command leaves
}

func check(t *testing.T, p *place, name string) (c checking) {
	t.Helper()
	said, gate := filepath.Join(p.home, name), filepath.Join(p.home, name+"-gate")
	c.ended = said + ".ended"
	must(t, syscall.Mkfifo(gate, 0o600))
	var err error
	c.gate, err = os.OpenFile(gate, os.O_RDWR, 0) // its end is the command's, too
	must(t, err)
	t.Cleanup(func() { c.gate.Close() })
	c.proc = p.start(t, "verify", "--restore", "--scratch", p.scratch(t), "--", "sh", "-c", `pwd >"$0.new"; mv "$0.new" "$0"; read word <"$1"; : >"$0.ended"`, said, gate)
	testkit.Wait(t, limit, func() (bool, string) {
		text, err := os.ReadFile(said)
		c.scratch = filepath.Dir(strings.TrimSpace(string(text)))
		return err == nil, "the check has not begun"
	})
	return c
}

func there(t testing.TB, path string) bool {
	t.Helper()
	_, err := os.Stat(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return err == nil
}

// TestKilledVerification: what it had restored goes with the next one, and what another one is at work in stays.
func TestKilledVerification(t *testing.T) {
	t.Parallel()
	p := inDirectory(t)
	filled(t, p)
	busy, dead := check(t, p, "busy"), check(t, p, "dead")
	dead.proc.Signal(t, syscall.SIGKILL)
	dead.proc.Wait(t, limit)
	must(t, dead.gate.Close())
	testkit.Wait(t, limit, func() (bool, string) { return there(t, dead.ended), "its command goes on" })
	if !there(t, dead.scratch) {
		t.Fatalf("the killed one has left nothing at %s", dead.scratch)
	}
	p.ok(t, "verify", "--restore", "--scratch", p.scratch(t))
	if there(t, dead.scratch) || !there(t, filepath.Join(busy.scratch, "data", "big")) {
		t.Errorf("what the killed one left is there: %v, what the other one needs: %v", there(t, dead.scratch), there(t, busy.scratch))
	}
	_, err := busy.gate.WriteString("on\n")
	must(t, err)
	if code := busy.proc.Wait(t, limit); code != 0 || there(t, busy.scratch) {
		t.Errorf("it ended with %d: %s", code, busy.proc.Stderr(t))
	}
}
