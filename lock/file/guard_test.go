package file

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/lock"
)

// A place that waits writes nothing.
func TestWaitingWritesNothing(t *testing.T) {
	ctx := context.Background()
	p, err := joinedPlace(ctx, filepath.Join(t.TempDir(), "lock"), "a")
	must(t, err)
	if r, err := p.Write(ctx, []byte("early"), lock.Version{}); r.Outcome != lock.KeyGone {
		t.Fatalf("a write before the grant came to %v (%v), expected KeyGone", r.Outcome, err)
	}
	must(t, p.Leave(ctx))
}

// An older state that was put into the same file under a holder is another tenure's: nothing of ours is
// written over it, though its version is the one that we ask for.
func TestOlderStatePutBack(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "lock")
	p, err := grantedPlace(path, "a")
	must(t, err)
	r, err := p.Release(ctx, []byte("drained"), lock.Version{})
	must(t, err)
	old := readFile(t, path)
	q, err := grantedPlace(path, "b")
	must(t, err)
	must(t, os.WriteFile(path, old, 0o600)) // the same inode
	if w, err := q.Write(ctx, []byte("running"), r.Version); w.Outcome != lock.KeyGone {
		t.Fatalf("a write came to %v (%v), expected KeyGone", w.Outcome, err)
	}
	must(t, q.Leave(ctx))
}

// A release frees the lock though a guard still has the descriptor, which no further process inherits.
func TestDescriptor(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "lock")
	p, err := grantedPlace(path, "a")
	must(t, err)
	f := p.Descriptor()
	if f == nil {
		t.Fatal("a held place gave no descriptor")
	}
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
	must(t, err)
	if flags&unix.FD_CLOEXEC == 0 {
		t.Fatal("the descriptor is not close-on-exec")
	}
	if r, err := p.Release(ctx, []byte("drained"), lock.Version{}); r.Outcome != lock.Committed {
		t.Fatalf("release: %v (%v)", r.Outcome, err)
	}
	if held, err := isHeld(openFile(t, path)); held || err != nil {
		t.Fatalf("after the release the lock is still held by the other descriptor (%v)", err)
	}
	if p.Descriptor() != nil {
		t.Fatal("a released place gave a descriptor")
	}
	must(t, f.Close())
}

// A wait that is cancelled just after it won gives the lock back.
func TestCancelAfterWin(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	must(t, create(path))
	b := block(openFile(t, path))
	tick, end := time.NewTicker(time.Millisecond), time.After(10*time.Second)
	defer tick.Stop()
	for len(b.done) == 0 {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("a free lock was not won")
		}
	}
	if !b.cancel() {
		t.Fatal("the thread did not come back")
	}
	if held, err := isHeld(openFile(t, path)); held || err != nil {
		t.Fatalf("the lock is still held (%v)", err)
	}
}

// A write that its caller gave up on may land: it is found by the next one, and never overwritten
// unseen. (The delay is ours: a real disk that takes no writes would hold up everybody's sync.)
func TestLateWriteIsFound(t *testing.T) {
	ctx := context.Background()
	p, err := grantedPlace(filepath.Join(t.TempDir(), "lock"), "a")
	must(t, err)
	base, err := p.Write(ctx, []byte("base"), lock.Version{})
	must(t, err)
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	disk := make(chan struct{})
	late := p.bounded(short, "write it", func() answer {
		<-disk
		return p.put([]byte("mine"), base.Version, false)
	})
	if late.result.Outcome != lock.Ambiguous || !errors.Is(late.err, lock.ErrUnreachable) {
		t.Fatalf("a write that hangs came to %v (%v), expected Ambiguous", late.result.Outcome, late.err)
	}
	if r, err := p.Write(ctx, []byte("other"), base.Version); r.Outcome != lock.Ambiguous || err == nil {
		t.Fatalf("a write behind one that hangs came to %v (%v), expected Ambiguous", r.Outcome, err)
	}
	close(disk)
	r, err := p.Write(ctx, []byte("next"), base.Version)
	must(t, err)
	if r.Outcome != lock.Moved || string(r.Current.Data) != "mine" {
		t.Fatalf("the next write came to %v with %q, expected Moved with the one that landed", r.Outcome, r.Current.Data)
	}
	must(t, p.Leave(ctx))
}

// A path that cannot be looked at is unknown: neither lost nor absent, and all goes on when it can be
// looked at again.
func TestUnknownPathIsNotLost(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "lock")
	p, err := grantedPlace(path, "a")
	must(t, err)
	must(t, os.Link(path, path+".away"))
	must(t, os.Symlink(path, path+".circle"))
	must(t, os.Rename(path+".circle", path)) // in one step: at no moment is the file simply not there
	if r, err := p.Write(ctx, []byte("mine"), lock.Version{}); r.Outcome != lock.Ambiguous || err == nil {
		t.Fatalf("a write to a path that cannot be looked at came to %v (%v), expected Ambiguous", r.Outcome, err)
	}
	if err := p.KeepAlive(ctx); err == nil || errors.Is(err, lock.ErrPlaceLost) {
		t.Fatalf("keep alive: %v, expected an error that is no loss", err)
	}
	if v, err := p.d.View(ctx); err == nil {
		t.Fatalf("view shows %+v of a path that cannot be looked at", v)
	}
	select {
	case <-p.Gone():
		t.Fatal("Gone is closed though nothing is known")
	default:
	}
	must(t, os.Rename(path+".away", path))
	if r, err := p.Write(ctx, []byte("mine"), lock.Version{}); r.Outcome != lock.Committed {
		t.Fatalf("the next write came to %v (%v), expected Committed", r.Outcome, err)
	}
	must(t, p.Leave(ctx))
}

// Between the kernel's grant and ours the last holder's name is not shown once it has released.
func TestReleasedNameIsForgotten(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "lock")
	p, err := grantedPlace(path, "a")
	must(t, err)
	_, err = p.Release(ctx, []byte("drained"), lock.Version{})
	must(t, err)
	locked, err := tryLock(openFile(t, path))
	must(t, err)
	v, err := p.d.View(ctx)
	must(t, err)
	if !locked || len(v.Queue) != 1 || v.Queue[0].Holder != "" {
		t.Fatalf("view shows %+v, expected one holder whose name is not known yet", v.Queue)
	}
}
