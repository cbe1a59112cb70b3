//go:build vm

package nfs

import (
	"context"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/vmtest"
	"github.com/interlock-run/interlock/mountcheck"
)

// What mountcheck finds at each fault, and again when it is over.
func TestLook(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault func(server)
		want  mountcheck.Kind
	}{
		{"stopped", server.stop, mountcheck.Hung},
		{"cut off", func(s server) { s.Cut() }, mountcheck.Hung},
		{"unexported", server.unexport, mountcheck.Denied},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			dir := s.mount("")
			expect(t, dir, mountcheck.OK)
			c.fault(s)
			start := time.Now()
			expect(t, dir, c.want)
			t.Logf("%s: %s after %v", c.name, c.want, time.Since(start).Round(time.Millisecond))
			s.Join()
			s.start()
			expect(t, dir, mountcheck.OK)
		})
	}
}

// expect looks until it is found, for at most the limit.
func expect(t *testing.T, dir string, want mountcheck.Kind) {
	t.Helper()
	deadline := time.Now().Add(vmtest.Limit)
	for {
		f := mountcheck.Look(context.Background(), mountcheck.Config{
			Expect: []mountcheck.Expect{{Path: dir, FSType: "nfs4"}}, Timeout: 2 * time.Second, Log: t.Logf,
		})[0]
		if f.Kind == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %+v, want %s", f, want)
		}
		t.Logf("%s: %s", f.Kind, f.Detail)
	}
}
