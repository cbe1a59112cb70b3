//go:build vm

package nbd

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/e2e/ordeal"
	"github.com/interlock-run/interlock/internal/vmtest"
)

// Each fault of the server, below a run on a device that the host has attached and mounted.
func TestRun(t *testing.T) {
	const (
		limited = "ext4 on NBD, `-timeout 2` (VM)"
		forever = "ext4 on NBD, no timeout (VM)"
		xfs     = "xfs on NBD, `-timeout 2` (VM)"
	)
	broken := []string{"erroring", "readonly"}
	stop, goOn := (*export).stop, (*export).goOn
	cut, whole := func(e *export) { e.Cut() }, func(e *export) { e.Join() }
	for _, c := range []struct {
		filesystem, fault string
		options           []string
		begin, heal       func(*export)
		findings          []string
		rescue            string
	}{
		{limited, "server killed", []string{"-timeout", "2"}, (*export).kill, (*export).start, broken, ""},
		{limited, "server stopped", []string{"-timeout", "2"}, stop, goOn, broken, ""},
		{limited, "network cut", []string{"-timeout", "2"}, cut, whole, broken, ""},
		{limited, "`nbd-client -d`", []string{"-timeout", "2"}, (*export).disconnect, func(*export) {}, broken, ""},
		{forever, "server killed with a request under way", nil, (*export).killBusy, (*export).start, []string{"erroring", "readonly", "hung"}, ""},
		{forever, "server stopped", nil, stop, goOn, []string{"hung"}, ""},
		{forever, "network cut", nil, cut, whole, []string{"hung"}, ""},
		{forever, "network cut, `on_stuck: free`", nil, cut, whole, []string{"hung"}, "disconnect"},
		{xfs, "server killed", []string{"-timeout", "2"}, (*export).kill, (*export).start, []string{"erroring"}, ""},
		{xfs, "network cut", []string{"-timeout", "2"}, cut, whole, []string{"erroring"}, ""},
	} {
		kind := map[string]string{limited: "limited", forever: "forever", xfs: "xfs"}[c.filesystem]
		t.Run(kind+" "+strings.ReplaceAll(c.fault, "`", ""), func(t *testing.T) { // its name is that of folders, too
			e := newExport(t)
			e.fstype, _, _ = strings.Cut(c.filesystem, " ")
			dir := e.attach(c.options...)
			vmtest.Interlock(t, "mount", "init", "--volume", "v1", dir)
			var flags []string
			if c.rescue != "" {
				flags = []string{"--on-stuck", "free", "--budgets-drain", "3s"}
			}
			ordeal.Run(t, ordeal.Case{
				Flags: flags, Rescue: c.rescue, Free: e.disconnect, Lever: "disconnect",
				Filesystem: c.filesystem, Fault: c.fault, Mount: dir, Expect: ",fstype=" + e.fstype + ",source=" + node + ",volume=v1" + accepted(c.options),
				Break: func() { c.begin(e) }, Heal: func() { c.heal(e) }, Findings: c.findings, Arrived: e.changed,
			})
		})
	}
}

func (e *export) kill() {
	e.t.Helper()
	e.server.Signal(e.t, unix.SIGKILL)
	e.server.Wait(e.t, vmtest.Limit)
}

// killBusy waits until the payload, which writes each 100 ms, surely waits for the server.
func (e *export) killBusy() {
	e.stop()
	<-time.After(time.Second)
	e.kill()
}

func (e *export) stop() { e.t.Helper(); e.server.Signal(e.t, unix.SIGSTOP) }
func (e *export) goOn() { e.t.Helper(); e.server.Signal(e.t, unix.SIGCONT) }

// accepted is accepting in a flag.
func accepted(options []string) string {
	if list := accepting(options); len(list) > 0 {
		return ",opts=" + strings.Join(list, "+")
	}
	return ""
}
