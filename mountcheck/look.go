package mountcheck

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"
)

// Look examines every mount once, read-only, and the data directory. There is one finding a mount, also
// for those that are right, in the order of the configuration, and one more for a data directory that is
// not. It takes at most a few stage timeouts. A helper that cannot be killed is left behind and logged:
// who looks again and again wants Watch.
func Look(ctx context.Context, c Config) []Finding {
	v := newEnv(c)
	defer v.close()
	p, err := v.prepare(ctx)
	if err != nil {
		return []Finding{finding(c.Data, Wrong, err.Error())}
	}
	var wait sync.WaitGroup
	for _, t := range p.targets {
		wait.Go(func() {
			for range t.want.looks() {
				t.examine(ctx)
			}
		})
	}
	wait.Wait()
	for _, err := range p.end() {
		v.cfg.Log("%v", err)
	}
	out := make([]Finding, 0, len(p.targets)+len(p.fixed))
	for _, t := range p.targets {
		// Patience is for a mount in use: at the start a bad answer counts at once.
		t.want.FailAfter, t.want.RecoverAfter = 0, 0
		out = append(out, t.verdict(time.Now()))
	}
	return append(out, p.fixed...)
}

// Refusal is the finding that forbids a start: the first fatal one, else the first mount of which nothing
// is known. (While a service runs, what is unknown is only a warning.)
func Refusal(all []Finding) (Finding, bool) {
	for _, f := range all {
		if f.Fatal() {
			return f, true
		}
	}
	for _, f := range all {
		if f.Kind == Unknown {
			return f, true
		}
	}
	return Finding{}, false
}

func newEnv(c Config) *env {
	b := make([]byte, 8)
	// crypto/rand never fails: it ends the process instead.
	_, _ = rand.Read(b)
	return &env{cfg: c.withDefaults(), starter: newStarter(), nonce: hex.EncodeToString(b)}
}
