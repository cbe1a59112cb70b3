package main

import (
	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/exit"
)

// notYet refuses what a run does not do yet, so that nobody believes in backups that are never taken. What only
// says where snapshots lie is no harm: the verbs for snapshots read the same file.
func notYet(cfg config.Config) error {
	switch {
	case cfg.Restore.From == config.FromStore:
		return exit.Withf(exit.Config, "restore.from store: `interlock run` of this release restores by restore.exec alone: use `interlock restore` there")
	case cfg.Backup.Wanted():
		return exit.Withf(exit.Config, "backup.schedule, backup.on_stop: `interlock run` of this release takes no backups: use `interlock backup` from a hook or a cron job")
	}
	return nil
}
