package courier

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/interlock-run/interlock/internal/snapshot"
)

// scrubbed is the environment of the commands that are started from here: they get no secret of the store.
func (w *courier) scrubbed(r Request) []string {
	var kept []string
	for _, kv := range w.environ {
		name, _, _ := strings.Cut(kv, "=")
		if !slices.Contains(r.Secrets, name) {
			kept = append(kept, kv)
		}
	}
	return kept
}

func (r Request) credential() *syscall.Credential {
	if r.User == nil || int(r.User.UID) == os.Geteuid() && int(r.User.GID) == os.Getegid() {
		return nil
	}
	return &syscall.Credential{Uid: r.User.UID, Gid: r.User.GID, Groups: r.User.Groups}
}

// follow tells how far p has come, each second, until the function that it returns was called.
func (w *courier) follow(p *snapshot.Progress, total int64) (stop func()) {
	return w.each(time.Second, func() Progress {
		return Progress{Entries: p.Entries.Load(), Bytes: p.Bytes.Load() + p.Reused.Load(), Stored: p.Stored.Load(), Total: total}
	})
}

// each tells what read gives, once a period, until the function that it returns was called.
func (w *courier) each(period time.Duration, read func() Progress) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(period)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				p := read()
				w.out.tell(Line{Progress: &p})
			}
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}
