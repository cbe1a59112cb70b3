package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/lock"
)

func nothing(lock.Version, clock.Stamp) {}

// replace puts another file where the lock file was, with the same content.
func replaceFile(t *testing.T, path string) {
	t.Helper()
	must(t, os.WriteFile(path+".other", readFile(t, path), 0o600))
	must(t, os.Rename(path+".other", path))
}

// A holder learns of a removed or replaced file without a heartbeat.
func TestReplacedFileIsNoticedAtOnce(t *testing.T) {
	for name, change := range map[string]func(*testing.T, string){
		"replaced": replaceFile,
		"removed":  func(t *testing.T, path string) { must(t, os.Remove(path)) },
		"moved":    func(t *testing.T, path string) { must(t, os.Rename(path, path+".away")) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lock")
			p, err := grantedPlace(path, "a")
			must(t, err)
			must(t, os.WriteFile(path+".unrelated", nil, 0o600))
			change(t, path)
			select {
			case <-p.Gone():
			case <-time.After(10 * time.Second):
				t.Error("nothing said that the file has gone")
			}
			must(t, p.Leave(context.Background()))
		})
	}
}

// A replaced file is a lost key: nothing is written any more, a heartbeat alone finds it, and a
// contender that waits for the old file waits no longer.
func TestReplacedFile(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "lock")
	p, err := grantedPlace(path, "a")
	must(t, err)
	w, err := p.Write(ctx, []byte("mine"), lock.Version{})
	must(t, err)
	r := newRival(t, path)
	replaceFile(t, path)
	if err := p.KeepAlive(ctx); !errors.Is(err, lock.ErrPlaceLost) {
		t.Fatalf("keep alive: %v, expected ErrPlaceLost", err)
	}
	select {
	case <-p.Gone():
	default:
		t.Fatal("Gone is open after a heartbeat found another file")
	}
	if got, err := p.Write(ctx, []byte("late"), w.Version); got.Outcome != lock.KeyGone {
		t.Fatalf("write came to %v (%v), expected KeyGone", got.Outcome, err)
	}
	if _, err := p.Read(ctx); err == nil {
		t.Fatal("the record of a file that the path does not lead to was read")
	}
	if err := r.place.KeepAlive(ctx); !errors.Is(err, lock.ErrPlaceLost) {
		t.Fatalf("keep alive of the waiting one: %v, expected ErrPlaceLost", err)
	}
	select {
	case err := <-r.result:
		if !errors.Is(err, lock.ErrPlaceLost) {
			t.Fatalf("Await: %v, expected ErrPlaceLost", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Await still waits for a file that was replaced")
	}
	must(t, p.Leave(ctx))
}

// Who wins the lock of a file that was replaced meanwhile is not granted.
func TestReplacedWhileWaiting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	p, err := grantedPlace(path, "a")
	must(t, err)
	r := newRival(t, path)
	waitsInKernel(t, path, 1)
	replaceFile(t, path)
	must(t, p.Leave(context.Background()))
	if err := <-r.result; !errors.Is(err, lock.ErrPlaceLost) {
		t.Fatalf("Await: %v, expected ErrPlaceLost", err)
	}
	if r.place.phase != ended {
		t.Fatal("a lost place keeps its descriptor")
	}
}

// waitsInKernel waits until this many are blocked in the kernel for the lock of the file.
func waitsInKernel(t *testing.T, path string, n int) {
	t.Helper()
	tick, end := time.NewTicker(5*time.Millisecond), time.After(10*time.Second)
	defer tick.Stop()
	for countBlocked(t, path) != n {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%d wait for the lock, expected %d", countBlocked(t, path), n)
		}
	}
}

// countBlocked reads lines like "1: -> OFDLCK ADVISORY WRITE -1 fe:00:4242 0 EOF".
func countBlocked(t *testing.T, path string) int {
	t.Helper()
	number, err := inode(path)
	must(t, err)
	n := 0
	for line := range strings.Lines(string(readFile(t, "/proc/locks"))) {
		if strings.Contains(line, " -> ") && strings.Contains(line, fmt.Sprintf(":%d ", number)) {
			n++
		}
	}
	return n
}

// A cancelled wait ends at once and takes its thread with it.
func TestCancelEndsTheThread(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	holder, err := grantedPlace(path, "a")
	must(t, err)
	waiting, err := joinedPlace(context.Background(), path, "b")
	must(t, err)
	for range 20 {
		ctx, cancel := context.WithCancel(context.Background())
		result := make(chan error, 1)
		go func() { result <- waiting.Await(ctx, nothing) }()
		waitsInKernel(t, path, 1)
		begin := time.Now()
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Fatalf("Await: %v, expected context.Canceled", err)
		}
		if took := time.Since(begin); took > 500*time.Millisecond+testkit.Busy(t) || waiting.stuck {
			t.Fatalf("the cancelled wait took %v, thread left behind: %v", took, waiting.stuck)
		}
		waitsInKernel(t, path, 0)
	}
	must(t, waiting.Leave(context.Background()))
	must(t, holder.Leave(context.Background()))
}

// Whatever the order of a cancel and a release that meet, the lock is free in the end, or was granted.
func TestCancelMeetsGrant(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	outcomes := map[bool]int{}
	for i := range 200 {
		holder, err := grantedPlace(path, "a")
		must(t, err)
		waiting, err := joinedPlace(context.Background(), path, "b")
		must(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		result, left := make(chan error, 1), make(chan error, 1)
		go func() { result <- waiting.Await(ctx, nothing) }()
		if i%2 == 0 {
			waitsInKernel(t, path, 1)
		}
		if i%4 < 2 {
			cancel()
		}
		go func() { left <- holder.Leave(context.Background()) }()
		must(t, <-left)
		cancel()
		outcomes[<-result == nil]++
		must(t, waiting.Leave(context.Background()))
		if held, err := isHeld(openFile(t, path)); held || err != nil {
			t.Fatalf("round %d: the lock is still held (%v)", i, err)
		}
	}
	t.Logf("granted %d, cancelled %d", outcomes[true], outcomes[false])
}

// A held lock is not freed by the garbage collector, nor by closing the driver.
func TestHeldIsNotCollected(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	fd := forgetHeld(t, path)
	for range 3 {
		runtime.GC()
	}
	if held, err := isHeld(openFile(t, path)); !held || err != nil {
		t.Fatalf("the lock of a forgotten place is free (%v)", err)
	}
	must(t, unlock(fd))
}

func forgetHeld(t *testing.T, path string) int {
	t.Helper()
	p, err := grantedPlace(path, "a")
	must(t, err)
	must(t, p.d.Close())
	return p.store.fd
}

// A record that does not fit is refused, and the one before stays.
func TestRecordTooLarge(t *testing.T) {
	ctx := context.Background()
	p, err := grantedPlace(filepath.Join(t.TempDir(), "lock"), "a")
	must(t, err)
	w, err := p.Write(ctx, []byte("mine"), lock.Version{})
	must(t, err)
	if r, err := p.Write(ctx, bytes.Repeat([]byte("x"), slotSize), w.Version); r.Outcome != lock.Refused || err == nil {
		t.Fatalf("a record of %d bytes came to %v (%v), expected Refused", slotSize, r.Outcome, err)
	}
	if r, err := p.Write(ctx, []byte("next"), w.Version); r.Outcome != lock.Committed {
		t.Fatalf("the next write came to %v (%v)", r.Outcome, err)
	}
	must(t, p.Leave(ctx))
}

// Work that its caller gave up on is over before the next begins.
func TestLane(t *testing.T) {
	l, release, over := newLane(), make(chan struct{}), false
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, late := do(ctx, l, func() int { <-release; over = true; return 1 }); !errors.Is(late, context.DeadlineExceeded) {
		t.Fatalf("work that hangs: %v, expected the context's error", late)
	}
	again, cancelAgain := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancelAgain()
	if _, late := do(again, l, func() int { return 2 }); late == nil {
		t.Fatal("the next work ran beside the one that hangs")
	}
	close(release)
	got, late := do(context.Background(), l, func() bool { return over })
	if !got || late != nil {
		t.Fatalf("the next work saw over=%v (%v), expected the first one's effect", got, late)
	}
}
