//go:build vm

package nbd

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/vmtest"
	"github.com/interlock-run/interlock/internal/vmtest/late"
	"github.com/interlock-run/interlock/mountcheck/drain/flush"
	"github.com/interlock-run/interlock/mountcheck/rescue"
)

// Without a timeout of the device nothing but its disconnection ends what waits in it.
func TestDisconnect(t *testing.T) {
	e := newExport(t)
	dir := e.attach()
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o644))
	must(t, flush.Sync(dir))
	plan, err := rescue.Capture([]string{dir})
	must(t, err)
	t.Cleanup(func() { must(t, plan.Close()) })
	payload := late.Start(t, "write", file)
	t.Cleanup(e.disconnect) // before the payload is waited for
	e.server.Signal(t, unix.SIGSTOP)
	payload.Act()
	payload.Hangs()
	if payload.Kill(time.Second) {
		t.Fatal("the payload could be killed, so the test has lost its sense")
	}
	start := time.Now()
	must(t, plan.Pull(plan.Levers[0], vmtest.Limit))
	payload.Wait(t, vmtest.Limit)
	t.Logf("%s: free after %v", plan.Levers[0], time.Since(start).Round(time.Millisecond))
	late.Unmount(t, dir, "force")
	e.free()
	if err := plan.Pull(plan.Levers[0], vmtest.Limit); err == nil {
		t.Error("disconnected twice")
	}
}
