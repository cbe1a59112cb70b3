//go:build vm

package nbd

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/internal/vmtest"
	"github.com/interlock-run/interlock/internal/vmtest/late"
	"github.com/interlock-run/interlock/mountcheck/drain"
	"github.com/interlock-run/interlock/mountcheck/drain/flush"
)

// A payload writes while the server cannot be reached, and is killed; the filesystem is unmounted and the
// device detached, both without an error. The write arrives all the same once the server can be reached:
// no answer before that may be "drained", and one must be in the end.
func TestLateWrite(t *testing.T) {
	for _, c := range []struct {
		name        string
		fault, heal func(*export)
	}{
		{"cut off", func(e *export) { e.Cut() }, func(e *export) { e.Join() }},
		{"stopped", func(e *export) { e.server.Signal(e.t, unix.SIGSTOP) }, func(e *export) { e.server.Signal(e.t, unix.SIGCONT) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newExport(t)
			volume := e.lost(c.fault)
			before := e.changed()
			volume.Never(t, 3*time.Second)
			c.heal(e)
			volume.Until(t, drain.Drained)
			at := e.changed()
			if at == before {
				t.Error("nothing has arrived, so the test has lost its sense")
			}
			testkit.Poll(2*time.Second, func() (bool, string) { return e.changed() != at, "" })
			if now := e.changed(); now != at {
				t.Errorf("it arrived after it was called drained: %s, %s", at, now)
			}
		})
	}
}

// lost is a volume whose payload wrote during a fault and was killed, and which was unmounted and detached.
func (e *export) lost(fault func(*export)) *late.Case {
	t := e.t
	t.Helper()
	dir := e.attach("-timeout", "2")
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, make([]byte, 4096), 0o644)) // so that there is nothing to read, or to allocate
	must(t, flush.Sync(dir))
	payload := late.Start(t, "write", file)
	volume := late.Capture(t, drain.Volume{Path: dir, Export: address()})
	fault(e)
	payload.Act()
	payload.Hangs()
	t.Logf("the payload could be killed: %v", payload.Kill(vmtest.Limit))
	if v := volume.Ask(); v.State != drain.Pending {
		t.Errorf("still mounted: %+v", v)
	}
	late.Unmount(t, dir, "force")
	e.disconnect()
	e.free()
	volume.Done.Detached = true
	return volume
}

// The kernel forgets a connection of which the other side has taken all and which it never closes. A
// server that stood still all that time carries the write out when it goes on.
func TestForgotten(t *testing.T) {
	e := newExport(t)
	setFinTimeout(t, "8")
	t.Cleanup(func() { setFinTimeout(t, "60") })
	volume := e.lost(func(e *export) { e.server.Signal(t, unix.SIGSTOP) })
	before := e.changed()
	volume.Until(t, drain.Unknown)
	e.server.Signal(t, unix.SIGCONT)
	testkit.Wait(t, vmtest.Limit, func() (bool, string) {
		return e.changed() != before, "nothing has arrived, so the test has lost its sense"
	})
}

func setFinTimeout(t *testing.T, seconds string) {
	t.Helper()
	must(t, os.WriteFile("/proc/sys/net/ipv4/tcp_fin_timeout", []byte(seconds), 0o644))
}
