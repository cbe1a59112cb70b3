package main

import (
	"slices"
	"strings"

	"github.com/interlock-run/interlock/backup"
	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/courier"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/lifecycle"
)

// storePlan is what a run does with its snapshot store; the zero plan where none is named.
func storePlan(cfg config.Config, environ []string) (lifecycle.StorePlan, error) {
	if cfg.Store.URL == "" {
		return lifecycle.StorePlan{}, nil
	}
	user, err := courierUser(cfg.Backup.User)
	if err != nil {
		return lifecycle.StorePlan{}, err
	}
	loader := user
	if cfg.Backup.User == "" {
		if loader, err = courierUser(cfg.User); err != nil {
			return lifecycle.StorePlan{}, err
		}
	}
	names := storeSecrets(cfg)
	p := lifecycle.StorePlan{
		Errand: courier.Request{
			Who: who(cfg), Store: cfg.Store, Restore: cfg.Restore, Backup: cfg.Backup, Secrets: names, User: user,
		},
		Secrets: chosen(environ, names), Loader: loader, Restore: cfg.Restore.From == config.FromStore, OnStop: cfg.Backup.OnStop,
	}
	if cfg.Backup.Schedule != "" {
		s, err := backupSchedule(cfg)
		if err != nil {
			return lifecycle.StorePlan{}, err
		}
		p.Next = s.Next
	}
	return p, nil
}

// who is in all that is published for a run, or noted of it.
func who(cfg config.Config) courier.Who {
	return courier.Who{Scope: snapshotScope(cfg.Lock.URL), Holder: cfg.Holder, Node: cfg.Fence.Node, Release: thisBuild().Version}
}

// backupSchedule goes by the host's clock on the wall. Its delay is the lock's, not the node's: a service that
// moves keeps its times.
func backupSchedule(cfg config.Config) (backup.Schedule, error) {
	s, err := backup.ParseSchedule(cfg.Backup.Schedule, nil)
	if err != nil {
		return s, exit.Withf(exit.Config, "backup.schedule: %w", err)
	}
	return s.Spread(cfg.Backup.Spread, lockName(cfg.Lock.URL)), nil
}

func courierUser(spec string) (*courier.User, error) {
	c, err := credential(spec)
	if c == nil || err != nil {
		return nil, exit.With(exit.Config, err)
	}
	u := courier.User(*c)
	return &u, nil
}

// storeSecrets names the variables that open the store, or those of other nodes' dumps; only the courier gets them. Where a file holds the
// keys the variables are none of the store's: the payload may have its own.
func storeSecrets(c config.Config) []string {
	inS3 := func(url string) bool { return strings.HasPrefix(url, "s3:") }
	if c.Store.CredentialsFile != "" || !inS3(c.Store.URL) && !slices.ContainsFunc(c.Warm.Ring.Stores, inS3) {
		return nil
	}
	return []string{
		"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SESSION_TOKEN",
		"AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "AWS_PROFILE", "AWS_DEFAULT_PROFILE",
		"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
	}
}

// chosen are the variables of these names.
func chosen(environ, names []string) (vars []string) {
	for _, kv := range environ {
		if name, _, _ := strings.Cut(kv, "="); slices.Contains(names, name) {
			vars = append(vars, kv)
		}
	}
	return vars
}
