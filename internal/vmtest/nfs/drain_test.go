//go:build vm

package nfs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/internal/vmtest/late"
	"github.com/interlock-run/interlock/mountcheck/drain"
)

// A payload writes while the link is cut, and is killed. What it wrote arrives once the link is whole
// again: no answer before that may be "drained", and one must be in the end.
func TestLateWrite(t *testing.T) {
	for _, c := range []struct {
		name, how string
		leave     func(*testing.T, *late.Case) // what is done to the mount once the payload was killed
		arrives   bool                         // surely; else it depends on the time
	}{
		{"mounted", "write", syncing, true},
		{"detached lazily", "write", lazily, true},
		{"detached by force", "write", byForce, false},
		{"a removal, mounted", "remove", syncing, false},
		{"a removal, by force", "remove", byForce, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			file := "file-" + strings.ReplaceAll(c.name, " ", "-")
			dir, arrives := s.mount(""), filepath.Join(exported, file)
			must(t, os.WriteFile(arrives, nil, 0o644))
			payload := late.Start(t, c.how, filepath.Join(dir, file))
			volume := late.Capture(t, drain.Volume{Path: dir})
			s.Cut()
			payload.Act()
			dead := payload.Kill(time.Second)
			t.Logf("the payload could be killed: %v", dead)
			c.leave(t, volume)
			before := content(arrives)
			volume.Never(t, 3*time.Second)
			s.Join()
			volume.Until(t, drain.Drained)
			at := content(arrives)
			t.Logf("it has arrived: %v", at != before)
			if c.arrives && at == before {
				t.Error("nothing has arrived, so the test has lost its sense")
			}
			testkit.Poll(2*time.Second, func() (bool, string) { return content(arrives) != at, "" })
			if now := content(arrives); now != at {
				t.Errorf("it arrived after it was called drained: %s, %s", at, now)
			}
		})
	}
}

// content is the size of a file at the server, or that it is not there. To open it would wait for the
// client, who has a delegation.
func content(path string) string {
	st, err := os.Lstat(path)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(st.Size())
}

func syncing(t *testing.T, c *late.Case) { c.Sync(t) }

func lazily(t *testing.T, c *late.Case) {
	late.Unmount(t, c.Volume.Path, "lazily")
	c.Done.Detached = true
}

func byForce(t *testing.T, c *late.Case) {
	late.Unmount(t, c.Volume.Path, "force")
	c.Done.Detached = true
}

// With the server there, a sync and an unmount are enough.
func TestDrained(t *testing.T) {
	s := newServer(t)
	dir := s.mount("")
	volume := late.Capture(t, drain.Volume{Path: dir})
	must(t, os.WriteFile(filepath.Join(dir, "fine"), []byte("fine"), 0o644))
	if v := volume.Ask(); v.State != drain.Pending {
		t.Errorf("before the sync: %+v", v)
	}
	volume.Sync(t)
	volume.Until(t, drain.Drained)
	testkit.Unmount(t, dir)
	volume.Done = drain.Evidence{Detached: true}
	volume.Until(t, drain.Drained)
}

// The fence at the storage: what was sent after it does not land, and the client gives up.
func TestUnexported(t *testing.T) {
	s := newServer(t)
	dir, arrives := s.mount(""), filepath.Join(exported, "unexported")
	must(t, os.WriteFile(arrives, nil, 0o644))
	payload := late.Start(t, "write", filepath.Join(dir, "unexported"))
	volume := late.Capture(t, drain.Volume{Path: dir})
	s.Cut()
	payload.Act()
	payload.Kill(time.Second)
	lazily(t, volume)
	volume.Never(t, 2*time.Second)
	s.unexport()
	s.Join()
	volume.Until(t, drain.Drained)
	if got := content(arrives); got != "0" {
		t.Errorf("it arrived: %q", got)
	}
}
