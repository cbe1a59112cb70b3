package dump_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/drain"
	"github.com/interlock-run/interlock/warm/dump"
	"github.com/interlock-run/interlock/warm/warmtest"
)

// The disk for the lists hangs, so that neither the list's reader can die nor the dump's own files be closed: the dump
// comes to its end all the same, tries no second reader, and keeps its lock while this process lives.
func TestDiskThatHangs(t *testing.T) {
	for name, c := range map[string]struct {
		limit int64
		given bool // up, meanwhile
	}{"ordered": {1, false}, "streamed": {0, false}, "ordered, given up": {1, true}, "streamed, given up": {0, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			diskThatHangs(t, c.limit, c.given)
		})
	}
}

func diskThatHangs(t *testing.T, limit int64, given bool) {
	kit := testkit.Memcached(t, testkit.MemcachedOptions{})
	s := warmtest.Server(t, kit.Addr())
	warmtest.Fill(t, s, 3000, warmtest.Mixed)
	f := testkit.StartFaultFS(t, "")
	t.Cleanup(f.Free)
	f.Set(t, "hang write")
	o := options(t, s)
	o.Scratch, o.Listing, o.Limit.Items = f.Dir, dump.Hash, limit
	o.Drain.Stall, o.Drain.Death = 5*time.Second, time.Second
	ended := make(chan error, 1)
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	go func() {
		_, err := dump.Dump(ctx, o)
		ended <- err
	}()
	f.Holds(t)
	f.Set(t, "hang write,flush") // from here on nobody closes a file there
	if given {
		giveUp()
	}
	if err := testkit.Recv(t, 2*time.Minute, "the end of the dump", ended); !errors.Is(err, drain.ErrStuck) {
		t.Errorf("got %v, want ErrStuck", err)
	}
	o.Scratch = t.TempDir()
	if _, err := dump.Dump(t.Context(), o); !errors.Is(err, dump.ErrRunning) {
		t.Errorf("beside it: %v, want ErrRunning", err)
	}
	served(t, kit)
}
