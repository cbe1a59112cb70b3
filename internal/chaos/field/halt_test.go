package field

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// TestHaltMissesNobody: a tree that is being started all the while, of members that have left their parents, has
// nobody who lives on after all of it was halted and killed.
func TestHaltMissesNobody(t *testing.T) {
	for n := range 3 {
		host := fmt.Sprintf("c%d.1", n)
		payload := filepath.Join(t.TempDir(), "payload")
		script := "#!/bin/sh\n[ $# = 2 ] || exec sleep 1000\ni=0; while [ $i -lt 600 ]; do setsid $0 -host $2 more & i=$((i+1)); done; wait\n"
		if err := os.WriteFile(payload, []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		top := testkit.StartCmd(t, exec.Command("/bin/sh", payload, "-host", host))
		r := Run{Host: host, Contender: &Contender{field: &Field{Options: Options{Payload: "/bin/sh"}}}}
		r.Guard, _ = task(top.Pid())
		testkit.Wait(t, 20*time.Second, func() (bool, string) { return len(testkit.Descendants(top.Pid())) > 20, "the tree does not grow" })
		all, err := r.Halt()
		if err == nil {
			err = Signal(unix.SIGKILL, all...)
		}
		if err != nil {
			t.Fatal(err)
		}
		top.Wait(t, 20*time.Second)
		testkit.Wait(t, 20*time.Second, func() (bool, string) {
			dying := 0
			for _, p := range all {
				if p.Alive() {
					dying++
				}
			}
			return dying == 0, fmt.Sprintf("%d of those that were killed live", dying)
		})
		for _, p := range below(os.Getpid()) {
			if line, err := os.ReadFile(procFile(p.PID, "cmdline")); err == nil && strings.Contains(string(line), payload) {
				t.Errorf("%d lives on: %q", p.PID, line)
				if err := p.Signal(unix.SIGKILL); err != nil {
					t.Error(err)
				}
			}
		}
	}
}
