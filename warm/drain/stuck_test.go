package drain_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/drain"
	"github.com/interlock-run/interlock/warm/memcached"
	"github.com/interlock-run/interlock/warm/warmtest"
)

const many = 400_000 // lines of a list are more than all buffers on the way take

func small(i, _ int) warmtest.Item {
	return warmtest.Item{Key: fmt.Appendf(nil, "key:%d", i), Value: []byte("x")}
}

// held is a server with many items.
func held(t *testing.T, o testkit.MemcachedOptions) memcached.Server {
	t.Helper()
	o.Megabytes = 512
	kit := testkit.Memcached(t, o)
	s := server(t, kit.Addr())
	if o.TLS {
		s.TLS = &memcached.TLS{CA: kit.CA()}
	}
	warmtest.Fill(t, s, many, small)
	return s
}

// serves asks for items behind every lock of the server, of which it has 4096, and on each of its threads. It tells why
// it was not served.
func serves(t *testing.T, s memcached.Server, patience time.Duration) error {
	t.Helper()
	if err := asks(t, s, patience, 5); err != nil {
		return err
	}
	for range 8 {
		if err := asks(t, s, patience, many); err != nil {
			return err
		}
	}
	return nil
}

// asks reads one of so many items.
func asks(t *testing.T, s memcached.Server, patience time.Duration, step int) error {
	t.Helper()
	c, err := memcached.Dial(t.Context(), s, memcached.Options{Timeout: patience})
	if err != nil {
		return err
	}
	defer c.Close()
	var r memcached.Reply
	for at := 0; at < many; at += 100 * step { // little enough for the answers to fit into what lies between
		for i := at; i < min(at+100*step, many); i += step {
			if err := c.SendTouch(small(i, many).Key); err != nil {
				return err
			}
		}
		if err := errors.Join(c.SendNoop(), c.Flush()); err != nil {
			return err
		}
		for r.Status = 0; r.Status != memcached.End; {
			if err := c.Read(&r); err != nil {
				return err
			}
		}
	}
	return nil
}

// hang waits until clients wait for the reader of the list.
func hang(t *testing.T, s memcached.Server) {
	t.Helper()
	testkit.Wait(t, time.Minute, func() (bool, string) {
		return serves(t, s, 3*time.Second) != nil, "all clients are served: the test has lost its sense"
	})
}

// The folder for the list hangs: its reader sleeps in the kernel, and cannot be killed. All clients of 1.6.18 hang then, and
// are served again all the same, since the connection is broken without it. Who asked for the list does not wait for
// that reader for ever, and is told.
func TestReaderThatCannotDieFreesTheServer(t *testing.T) {
	for name, o := range map[string]testkit.MemcachedOptions{"TCP": {}, "socket": {Unix: true}, "TLS": {TLS: true}} {
		t.Run(name, func(t *testing.T) {
			s := held(t, o)
			f := testkit.StartFaultFS(t, "")
			t.Cleanup(f.Free)
			told, failed := make(chan error, 1), make(chan error, 1)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			f.Set(t, "hang write")
			go func() {
				_, err := drain.List(ctx, s, drain.Options{Mode: "hash", Folder: f.Dir, Stall: time.Minute, Death: time.Second,
					Stuck: func(err error) { told <- err }})
				failed <- err
			}()
			f.Holds(t)
			hang(t, s)
			cancel() // as a stall ends it
			if err := testkit.Recv(t, time.Minute, "the end of the listing", failed); !errors.Is(err, drain.ErrStuck) || !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want ErrStuck", err)
			}
			if err := testkit.Recv(t, time.Minute, "word of it", told); !errors.Is(err, drain.ErrStuck) {
				t.Errorf("told %v", err)
			}
			f.Holds(t) // still
			must(t, serves(t, s, 20*time.Second))
		})
	}
}

// The reader has to give up while its parent, which has the connection, too, stands still: clients are served again
// all the same.
func TestReaderLetsGoWithoutItsParent(t *testing.T) {
	s := held(t, testkit.MemcachedOptions{})
	f := testkit.StartFaultFS(t, "")
	t.Cleanup(f.Free)
	f.Set(t, "hang write")
	p := testkit.StartCmd(t, &exec.Cmd{Path: "/proc/self/exe", Args: []string{listerRole, s.Address, f.Dir}})
	f.Holds(t)
	p.Signal(t, syscall.SIGSTOP)
	hang(t, s)
	f.Set(t, "error ENOSPC write")
	must(t, serves(t, s, 20*time.Second))
}
