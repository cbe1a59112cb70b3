//go:build vm

package nfs

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/vmtest"
	"github.com/interlock-run/interlock/internal/vmtest/late"
	"github.com/interlock-run/interlock/mountcheck/rescue"
)

// A payload with a dirty page is not ended by SIGKILL, but once what waits in the mount is given up.
func TestForce(t *testing.T) {
	s := newServer(t)
	dir := s.mount("")
	must(t, os.WriteFile(filepath.Join(exported, "forced"), nil, 0o644))
	plan, err := rescue.Capture([]string{dir})
	must(t, err)
	t.Cleanup(func() { must(t, plan.Close()) })
	payload := late.Start(t, "write", filepath.Join(dir, "forced"))
	t.Cleanup(s.Join) // before the payload is waited for
	s.Cut()
	payload.Act()
	payload.Hangs()
	if payload.Kill(time.Second) {
		t.Fatal("the payload could be killed, so the test has lost its sense")
	}
	start := time.Now()
	for _, l := range plan.Levers {
		t.Logf("%s: %v after %v", l, plan.Pull(l, 5*time.Second), time.Since(start).Round(time.Millisecond))
	}
	payload.Wait(t, vmtest.Limit)
	t.Logf("free after %v", time.Since(start).Round(time.Millisecond))
}
