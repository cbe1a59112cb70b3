package main

import (
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/config"
)

// TestSpreadSchedule: a service keeps its delay wherever it runs, others have another, and cron's hours are
// those of the host's clock.
func TestSpreadSchedule(t *testing.T) {
	from := time.Date(2026, 5, 5, 12, 0, 0, 0, time.Local)
	next := func(url, holder string) time.Duration {
		cfg := config.Config{Holder: holder}
		cfg.Lock.URL, cfg.Backup.Schedule, cfg.Backup.Spread = url, "0 3 * * *", time.Hour
		s, err := backupSchedule(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return s.Next(from).Sub(time.Date(2026, 5, 6, 3, 0, 0, 0, time.Local))
	}
	a := next("etcd://h/a", "one")
	if a < 0 || a >= time.Hour {
		t.Errorf("the backup of 3 o'clock is %s late: expected less than an hour", a)
	}
	if b := next("etcd://h/a", "two"); b != a {
		t.Errorf("on another node it is %s late, not %s", b, a)
	}
	if b := next("etcd://h/b", "one"); b == a {
		t.Errorf("another service is %s late, too", b)
	}
}
