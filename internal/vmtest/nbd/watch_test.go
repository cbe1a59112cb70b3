//go:build vm

package nbd

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/device"
	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/internal/vmtest"
	"github.com/interlock-run/interlock/internal/vmtest/late"
	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/mountcheck/drain"
)

// What the watch finds at each fault. A name, a statfs and a cached read are fine for ever on a device
// that is gone: only the write probe tells.
func TestWatch(t *testing.T) {
	broken := []mountcheck.Kind{mountcheck.Erroring, mountcheck.ReadOnly}
	for _, c := range []struct {
		name    string
		options []string
		fault   func(*export)
		want    []mountcheck.Kind
	}{
		// A request that was under way when the connection broke waits for a timeout that is not there.
		{"killed", nil, func(e *export) { e.server.Signal(e.t, unix.SIGKILL) }, append(slices.Clone(broken), mountcheck.Hung)},
		{"stopped", nil, func(e *export) { e.server.Signal(e.t, unix.SIGSTOP) }, []mountcheck.Kind{mountcheck.Hung}},
		{"cut off, with a timeout", []string{"-timeout", "1"}, func(e *export) { e.Cut() }, broken},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newExport(t)
			dir := e.attach(c.options...)
			w, err := mountcheck.Watch(context.Background(), mountcheck.Config{
				Expect: []mountcheck.Expect{{Path: dir, FSType: "ext4", Source: node, Require: accepting(c.options)}},
				Period: 100 * time.Millisecond, Timeout: 5 * time.Second, Log: t.Logf,
			})
			must(t, err)
			t.Cleanup(func() { e.disconnect(); must(t, w.Close()) }) // its helper hangs on the device
			until(t, w, mountcheck.OK)
			w.EnableWrites(dir)
			c.fault(e)
			start := time.Now()
			found := until(t, w, c.want...)
			t.Logf("%s after %v: %s", found.Kind, time.Since(start).Round(time.Millisecond), found.Detail)
		})
	}
}

// accepting is what lets a device be used that has no timeout.
func accepting(options []string) []string {
	if slices.Contains(options, "-timeout") {
		return nil
	}
	return []string{"nbd_timeout=0"}
}

// A device without a timeout is refused, unless that is asked for; the kernel tells of it where nobody has mounted
// its debug filesystem.
func TestUntimed(t *testing.T) {
	vmtest.Inside(t)
	for _, options := range [][]string{nil, {"-timeout", "30"}} {
		t.Run(strings.Join(append([]string{"options"}, options...), " "), func(t *testing.T) {
			dir := newExport(t).attach(options...)
			e := mountcheck.Expect{Path: dir, FSType: "ext4"}
			want := mountcheck.OK
			if options == nil {
				want = mountcheck.Wrong
			}
			for _, e.Require = range [][]string{nil, accepting(options)} {
				all := mountcheck.Look(t.Context(), mountcheck.Config{Expect: []mountcheck.Expect{e}})
				if len(all) != 1 || all[0].Kind != want {
					t.Errorf("required %v: got %+v, expected %s", e.Require, all, want)
				}
				want = mountcheck.OK
			}
			if m, err := mountcheck.Trace(dir); err != nil || !mountcheck.TimeoutKnown(m) {
				t.Errorf("%+v, %v: the timeout is not known", m, err)
			}
		})
	}
}

func until(t *testing.T, w *mountcheck.Watcher, want ...mountcheck.Kind) mountcheck.Finding {
	t.Helper()
	for {
		f := testkit.Recv(t, vmtest.Limit, "a finding", w.Findings())
		if slices.Contains(want, f.Kind) {
			return f
		}
		t.Logf("%s: %s", f.Kind, f.Detail)
	}
}

// Unmounted, answered once more and detached, the volume is drained at once, though the connection may
// still be there for a while.
func TestSettled(t *testing.T) {
	e := newExport(t)
	dir := e.attach()
	volume := late.Capture(t, drain.Volume{Path: dir})
	volume.Sync(t)
	testkit.Wait(t, vmtest.Limit, func() (bool, string) { volume.Sync(t); return volume.Done.Synced, "the sync goes on" })
	if v := volume.Ask(); v.State != drain.Pending {
		t.Errorf("a mounted ext4 writes by itself, and is %+v", v)
	}
	testkit.Unmount(t, dir)
	must(t, device.Settle(node))
	e.disconnect()
	e.free()
	volume.Done = drain.Evidence{Detached: true, Settled: true}
	volume.Until(t, drain.Drained)
}
