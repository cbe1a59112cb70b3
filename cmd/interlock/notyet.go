package main

import (
	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/exit"
)

// notYet refuses what a run does not do yet, so that nobody believes in backups that are never taken. What only
// says where snapshots lie is no harm: the verbs for snapshots read the same file.
func notYet(cfg config.Config) error {
	if cfg.Backup.Schedule != "" {
		return exit.Withf(exit.Config, "backup.schedule: `interlock run` of this release knows no schedule: use `interlock backup` from a cron job")
	}
	return nil
}
