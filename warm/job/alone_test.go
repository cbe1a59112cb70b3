package job

import (
	"errors"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/dump"
	"github.com/interlock-run/interlock/warm/warmtest"
)

// A run's load waits for a dump of this host that is about to end: most often of the server before this one, at the
// same address. The load of a person is told.
func TestLoadWaitsForADump(t *testing.T) {
	server := warmtest.Server(t, testkit.Memcached(t, testkit.MemcachedOptions{}).Addr())
	l := &Load{Scratch: t.TempDir(), Own: true}
	l.Options.Server = server
	before := &Load{} // of another folder: none
	before.Options.Server = server
	held, err := before.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	waited := false
	l.Options.Note = func(string) { waited, err = true, held.Release() }
	release, failed := l.alone(t.Context(), time.Minute)
	if failed != nil || err != nil || !waited {
		t.Fatal(failed, err, waited)
	}
	l.Own = false
	if _, err := l.alone(t.Context(), time.Minute); !errors.Is(err, dump.ErrRunning) {
		t.Errorf("by hand: %v", err)
	}
	// One that does not end is no reason to stay cold: a load does no harm to it.
	second := &Load{Scratch: l.Scratch, Own: true}
	second.Options.Server, second.Options.Note = server, func(string) {}
	without, err := second.alone(t.Context(), time.Millisecond)
	if err != nil || second.Scratch != "" {
		t.Errorf("beside a dump without end: %v, scratch %q", err, second.Scratch)
	}
	if err := errors.Join(without(), release()); err != nil {
		t.Error(err)
	}
}

// A server that is lost between two looks costs neither the lock nor what a load before has left to go on with.
func TestLostBeforeALoad(t *testing.T) {
	kit := testkit.Memcached(t, testkit.MemcachedOptions{})
	l := &Load{Scratch: t.TempDir()}
	l.Options.Server, l.Options.Note = warmtest.Server(t, kit.Addr()), func(text string) { t.Log(text) }
	kit.Kill(t)
	release, err := l.alone(t.Context(), time.Minute)
	if err != nil || l.Scratch == "" {
		t.Fatalf("scratch %q, %v: expected to go on with it", l.Scratch, err)
	}
	if _, err := dump.Acquire(l.Scratch, l.Options.Server); !errors.Is(err, dump.ErrRunning) {
		t.Errorf("another one beside it: %v", err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}
