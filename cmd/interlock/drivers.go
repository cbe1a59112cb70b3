package main

import (
	"context"
	"log/slog"
	"net/url"
	"strings"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/lifecycle"
	"github.com/interlock-run/interlock/lock"
	"github.com/interlock-run/interlock/lock/etcd"
	"github.com/interlock-run/interlock/lock/file"
	"github.com/interlock-run/interlock/lock/zk"
)

// openDriver opens the lock service that the URL names.
func openDriver(ctx context.Context, cfg config.Config, log *slog.Logger) (lock.Driver, error) {
	u := lockURL(cfg.Lock.URL)
	s, err := lockSettings(cfg, log)
	if err != nil {
		return nil, err
	}
	open, ok := map[string]func(context.Context, *url.URL, lock.Settings) (lock.Driver, error){
		"zk": zk.Open, "etcd": etcd.Open, "file": file.Open,
	}[u.Scheme]
	if !ok {
		return nil, exit.Withf(exit.Config, "lock %q: expected a URL that begins with zk://, etcd:// or file://", cfg.Lock.URL)
	}
	d, err := open(ctx, u, s)
	if err != nil {
		return nil, exit.With(lifecycle.LockCode(err), err)
	}
	return d, nil
}

func lockSettings(cfg config.Config, log *slog.Logger) (lock.Settings, error) {
	s := lock.Settings{
		Timing: lockTiming(cfg.Timing), Holder: cfg.Holder, Node: cfg.Fence.Node, User: cfg.Lock.User,
		Foreign: cfg.Lock.ForeignPeers,
		TLS:     lock.TLSFiles{CA: cfg.Lock.TLS.CA, Cert: cfg.Lock.TLS.Cert, Key: cfg.Lock.TLS.Key},
		Clock:   clock.Now, Log: func(msg string, args ...any) { log.Debug(msg, args...) },
		Warn: func(msg string, args ...any) { log.Warn(msg, args...) },
	}
	if cfg.Lock.PasswordFile == "" {
		return s, nil
	}
	secret, warning, err := readSecretFile(cfg.Lock.PasswordFile)
	if err != nil {
		return s, exit.With(exit.Credentials, err)
	}
	if warning != "" {
		log.Warn(warning)
	}
	s.Password = secret
	return s, nil
}

// lockURL takes apart a URL whose form the configuration has checked. net/url knows one host only, and
// refuses several in brackets.
func lockURL(raw string) *url.URL {
	scheme, rest, _ := strings.Cut(raw, "://")
	hosts, path, found := strings.Cut(rest, "/")
	if found {
		path = "/" + path
	}
	return &url.URL{Scheme: scheme, Host: hosts, Path: path}
}

// lockScope tells locks apart whose tokens must not be compared: kind and path, without the servers,
// because servers are added, moved and listed in another order.
func lockScope(raw string) string {
	u := lockURL(raw)
	return u.Scheme + ":" + u.Path
}

// lockName is the lock as INTERLOCK_LOCK and the claim carry it. A URL has no place for credentials.
func lockName(raw string) string {
	u := lockURL(raw)
	return u.Scheme + "://" + u.Host + u.Path
}
