package databases

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
)

// Each server answers a query, keeps a session open, and a session whose
// server died says so instead of an answer.
func TestDatabases(t *testing.T) {
	for name, c := range map[string]struct {
		make     func(testing.TB, string) *testkit.Database
		ask, say string
		args     []string
	}{
		"mariadb":    {testkit.MariaDB, "SELECT 6*7;", "42", nil},
		"postgresql": {testkit.PostgreSQL, "SELECT 6*7;", "42", []string{"-c", "fsync=off"}},
		"redis":      {testkit.Redis, "STRLEN none", "0", []string{"--maxclients", "20"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := c.make(t, filepath.Join(testkit.PublicDir(t), "data"))
			d.Initialize(t)
			server := testkit.Start(t, d.AsUser(append(d.Server, c.args...)...)...)
			d.WaitReady(t, 30*time.Second)
			if got := d.Query(t, c.ask); got != c.say {
				t.Errorf("%s: %q: expected %q", c.ask, got, c.say)
			}
			s := d.Open(t)
			if got, err := s.Ask(c.ask, 10*time.Second); got != c.say || err != nil {
				t.Errorf("session: %q, %v: expected %q", got, err, c.say)
			}
			server.Signal(t, syscall.SIGKILL)
			server.Wait(t, 10*time.Second)
			testkit.Wait(t, 30*time.Second, func() (bool, string) { // PostgreSQL's backend outlives its postmaster
				got, err := s.Ask(c.ask, 10*time.Second)
				return err != nil, "a dead server's session answers " + got
			})
			if out, err := d.TryQuery(c.ask); err == nil {
				t.Errorf("a dead server answers %q", out)
			}
		})
	}
}
