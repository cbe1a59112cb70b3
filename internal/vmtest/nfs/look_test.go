//go:build vm

package nfs

import (
	"context"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/vmtest"
	"github.com/interlock-run/interlock/mountcheck"
)

// A look of mountcheck at a server that cannot be reached, and again when it can.
func TestLook(t *testing.T) {
	s := newServer(t)
	dir := s.mount("")
	expect(t, dir, mountcheck.OK)
	s.Cut()
	expect(t, dir, mountcheck.Hung)
	s.Join()
	expect(t, dir, mountcheck.OK)
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
