package databases

import (
	"fmt"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// complaints is a test that only notes what it is told.
type complaints struct {
	testing.TB
	all []string
}

func (c *complaints) Errorf(format string, args ...any) {
	c.all = append(c.all, fmt.Sprintf(format, args...))
}

// Two servers of two tokens on one directory, which Redis does not refuse, are seen and complained of.
func TestOverlapIsSeen(t *testing.T) {
	t.Parallel()
	testkit.RequireRoot(t)
	k := kindNamed(t, "redis")
	s := scene.New(t)
	r := newRigOn(t, k, s, s.Data)
	r.db.Own(t, r.Data)
	other := k.make(t, s.Data)
	for i, d := range []*testkit.Database{r.db, other} {
		must(t, appendFile(r.tokens, fmt.Sprintln(i+1)))
		testkit.Start(t, d.AsUser(d.Server...)...)
		d.WaitReady(t, limit)
		waitFor(t, func() (bool, string) {
			found := r.watch.fresh(t)
			return len(found) == i+1, fmt.Sprintf("%d servers seen: expected %d", len(found), i+1)
		})
	}
	heard := &complaints{TB: t}
	if r.Judge(heard); len(heard.all) == 0 {
		t.Error("nobody complained of two servers at once")
	}
}
