package main

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/restore"
)

// storage is which mounts to watch, and where our own files lie.
type storage struct {
	mounts mountcheck.Config
	state  string
	// fleeting: the state directory ends with the Mesos task, so that nobody after it sees a claim in it.
	fleeting bool
}

func storagePlan(cfg config.Config, environ []string, log *slog.Logger) (storage, error) {
	m := mountcheck.Config{
		Data: cfg.Storage.Data, Period: cfg.Storage.Probe.Period, Timeout: cfg.Storage.Probe.Timeout, FailAfter: config.DefaultFailAfter,
		Log: func(msg string, args ...any) { log.Debug(msg, args...) },
	}
	for _, c := range cfg.Storage.Mounts {
		e, err := expectation(c)
		if err != nil {
			return storage{}, exit.With(exit.Config, err)
		}
		m.Expect = append(m.Expect, e)
	}
	m.Expect = expectDevice(cfg.Storage.Device, m.Expect)
	if onDevice(cfg.Storage.Device, m.Data) { // the bare directory below it is never taken for it
		m.Seen = mountcheck.Mount{Point: cfg.Storage.Device.Mount.Path}
	}
	at := storage{mounts: m}
	var err error
	at.state, at.fleeting, err = stateDir(cfg, lookup(environ, "MESOS_SANDBOX"), log)
	at.mounts.StateDir = at.state
	return at, err
}

// expectation is what the configuration says of one mount, as package mountcheck wants it.
func expectation(c config.Mount) (mountcheck.Expect, error) {
	e := mountcheck.Expect{Path: c.Path, FSType: c.FSType, Source: c.Source, Volume: c.Volume, UUID: c.UUID, FailAfter: c.FailAfter, RecoverAfter: c.RecoverAfter}
	e.Latency, e.MinInodes = c.Latency, uint64(max(c.MinInodes, 0))
	var errOpts, errPolicy, errFree error
	e.Require, e.Forbid, errOpts = mountcheck.ParseOpts(c.Opts)
	if len(c.Policy) > 0 {
		e.Policy, errPolicy = mountcheck.ParsePolicy(c.Policy)
	}
	if c.MinFree != "" {
		e.MinFree, errFree = mountcheck.ParseSize(c.MinFree)
	}
	return e, errors.Join(errOpts, errPolicy, errFree)
}

// stateDir is where claim and state file lie; none where there is no data directory and none was named.
func stateDir(cfg config.Config, sandbox string, log *slog.Logger) (dir string, fleeting bool, err error) {
	data, given := cfg.Storage.Data, cfg.Storage.StateDir
	if data == "" {
		return given, false, nil
	}
	m, err := traceData(cfg.Storage)
	if err != nil {
		return "", false, exit.Withf(exit.Restore, "cannot tell which mount holds %s: %w: check that each directory of the path may be entered", data, err)
	}
	named := onDevice(cfg.Storage.Device, data) || slices.ContainsFunc(cfg.Storage.Mounts, func(e config.Mount) bool { return e.Path == m.Point })
	if given != "" && onDevice(cfg.Storage.Device, given) {
		return given, false, exit.With(exit.Config, restore.CheckStateDir(given, data, m.Point, true))
	}
	if given != "" {
		return given, false, checkStateDir(given, data, m, named)
	}
	// Beside a data directory that is itself a mountpoint is another filesystem, in a container one that
	// is new at each start: what is known of an unfinished restore would not be there.
	dir, warning := restore.StateDirFor(data, m.Point, named || m.Point == data)
	if warning != "" {
		log.Warn(warning)
	}
	if named || m.Point == data || sandbox == "" {
		return dir, false, nil // on its mount, or not a Mesos task
	}
	if sandboxServes(cfg, m, dir, sandbox) {
		return filepath.Join(sandbox, restore.StateDirName), true, nil
	}
	return dir, false, nil
}

// traceData is the mount that holds the data; that of the device is not there yet.
func traceData(s config.Storage) (mountcheck.Mount, error) {
	if onDevice(s.Device, s.Data) {
		return mountcheck.Mount{Point: s.Device.Mount.Path, FSType: s.Device.FSType, Source: s.Device.Attach.Dev}, nil
	}
	return mountcheck.Trace(s.Data)
}

// sandboxServes tells whether the sandbox of a Mesos task is better than nothing: the place beside the data
// on a disk of this host cannot be made, and nothing that must outlive the task goes there. The account of
// an unfinished restore must: the next task would take half of it for data.
func sandboxServes(cfg config.Config, data mountcheck.Mount, beside, sandbox string) bool {
	if mountcheck.Network(data.FSType, data.Source, data.Options) || cfg.Restore.Wanted() || cfg.Backup.Wanted() || !cannotMake(beside) {
		return false
	}
	on, err := mountcheck.Trace(sandbox)
	if err != nil || mountcheck.Network(on.FSType, on.Source, on.Options) {
		return false
	}
	// Both are local. An agent's work directory is often behind a symbolic link, and data named by the other
	// way would be the sandbox itself: initdb refuses one with anything in it.
	sandbox, err1 := filepath.EvalSymlinks(sandbox)
	real, err2 := filepath.EvalSymlinks(cfg.Storage.Data)
	return errors.Join(err1, err2) == nil && restore.CheckStateDir(filepath.Join(sandbox, restore.StateDirName), real, data.Point, false) == nil
}

// cannotMake is true only where it is certain: dir does not exist, and its parent does not let us make it.
func cannotMake(dir string) bool {
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	return refused(filepath.Dir(dir))
}

// refused is true only where it is certain that we may not write in dir.
func refused(dir string) bool {
	err := unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS)
	return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EROFS)
}

// checkStateDir refuses a state directory that was set by hand in a place where it cannot do its work.
// That it lies on the mount is compared by mounts, not by text: there may be symbolic links in the path.
func checkStateDir(dir, data string, m mountcheck.Mount, named bool) error {
	on, err := mountcheck.Trace(dir)
	if err != nil {
		return exit.Withf(exit.Mount, "cannot tell which mount holds the state directory %s: %w: check that each directory of the path may be entered", dir, err)
	}
	mounted := named && on.Point != m.Point
	if dir == filepath.Join(data, restore.StateDirName) {
		mounted = m.Point == data
	}
	return exit.With(exit.Config, restore.CheckStateDir(dir, data, m.Point, mounted))
}
