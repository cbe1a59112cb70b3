package lifecycle

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/lock"
)

// A scriptedLock is a lock service in memory with one contender.
type scriptedLock struct {
	mu      sync.Mutex
	stored  lock.Stored
	version int64
	held    bool // by somebody else: nobody is granted
	silent  bool // no write is answered
	writes  []lock.Record
	ended   []lock.Record // by a release
	left    int
	gone    chan struct{}
	once    sync.Once
}

func newScriptedLock(t testing.TB, r lock.Record) *scriptedLock {
	t.Helper()
	r.V = 1
	data, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return &scriptedLock{stored: lock.Stored{Data: data, Version: lock.Version{CAS: 1, Seen: 1}}, version: 1, gone: make(chan struct{})}
}

func (s *scriptedLock) Join(context.Context) (lock.Place, error) { return s, nil }
func (s *scriptedLock) View(context.Context) (lock.View, error)  { return lock.View{}, nil }
func (s *scriptedLock) Diagnose(context.Context) []lock.Diagnosis {
	return nil
}
func (s *scriptedLock) Close() error { return nil }

func (s *scriptedLock) Await(ctx context.Context, _ func(lock.Version, clock.Stamp)) error {
	if !s.held {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}
func (s *scriptedLock) Ahead() lock.Waiter { return lock.Waiter{} }
func (s *scriptedLock) RawToken() int64    { return 100 }
func (s *scriptedLock) Read(context.Context) (lock.Stored, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stored, nil
}
func (s *scriptedLock) Write(ctx context.Context, data []byte, after lock.Version) (lock.Result, error) {
	return s.write(ctx, data, after, false)
}
func (s *scriptedLock) Release(ctx context.Context, data []byte, after lock.Version) (lock.Result, error) {
	return s.write(ctx, data, after, true)
}

func (s *scriptedLock) write(ctx context.Context, data []byte, after lock.Version, release bool) (lock.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.silent {
		s.mu.Unlock()
		<-ctx.Done()
		s.mu.Lock()
		return lock.Result{}, ctx.Err()
	}
	if isClosed(s.gone) {
		return lock.Result{Outcome: lock.KeyGone}, nil
	}
	if after != s.stored.Version {
		return lock.Result{Outcome: lock.Moved, Current: s.stored}, nil
	}
	s.version++
	s.stored = lock.Stored{Data: data, Version: lock.Version{CAS: s.version, Seen: s.version}}
	r, err := lock.DecodeRecord(data, timing())
	if err != nil {
		return lock.Result{}, err
	}
	s.writes = append(s.writes, r)
	if release {
		s.ended = append(s.ended, r)
		s.once.Do(func() { close(s.gone) })
	}
	return lock.Result{Outcome: lock.Committed, Version: s.stored.Version}, nil
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (s *scriptedLock) Leave(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left++
	s.once.Do(func() { close(s.gone) })
	return nil
}
func (s *scriptedLock) KeepAlive(context.Context) error { return nil }
func (s *scriptedLock) Gone() <-chan struct{}           { return s.gone }
func (s *scriptedLock) Pulse()                          {}

// expire takes the key away from outside.
func (s *scriptedLock) expire() { s.once.Do(func() { close(s.gone) }) }

func (s *scriptedLock) silence(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = on
}

// released gives the record of the release; false if there was none.
func (s *scriptedLock) released() (lock.Record, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ended) == 0 {
		return lock.Record{}, false
	}
	return s.ended[0], true
}

func timing() lock.Timing {
	return lock.Timing{
		Hold: 2 * time.Second, Heartbeat: 50 * time.Millisecond, TryTimeout: 150 * time.Millisecond, Tries: 2,
		Grace: 200 * time.Millisecond, KillBudget: 200 * time.Millisecond, Margin: 50 * time.Millisecond, HoldMax: time.Minute,
	}
}
