package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/backup"
	"github.com/interlock-run/interlock/internal/courier"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/progress"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/internal/store"
)

func backupCommand() *cli.Command {
	keys := []named{{key: "data", flag: "data"}, {key: "state_dir", flag: "state-dir"}, {key: "holder", flag: "holder"}, {key: "fence.node", flag: "fence-node"},
		{key: "backup.mode", flag: "mode", unset: "command with a preset or a command, else cold"}, {key: "backup.preset", flag: "preset"}, {key: "backup.freeze", flag: "freeze"},
		{key: "backup.timeout", flag: "timeout"}, {key: "backup.exclude", flag: "exclude", each: true},
		{key: "backup.allow_shrink", flag: "allow-shrink"}, {key: "backup.user", flag: "user"}}
	return &cli.Command{
		Name: "backup", Usage: "take one snapshot of a directory, or of what a command writes, and publish it",
		ArgsUsage: "[-- COMMAND ARGS…]",
		Flags: append(writerFlags(append(keys, keepFlags()...)...), jsonFlag(),
			&cli.BoolFlag{Name: "full", Usage: "read everything and build on no other snapshot", DisableDefaultText: true},
			&cli.StringSliceFlag{Name: "label", Usage: "`NAME=VALUE` for people and scripts; may be given again"},
			&cli.StringFlag{Name: "scratch", Usage: "`DIR` for what is kept between backups (default: a cache directory)"}),
		Action: takeBackup,
	}
}

// backupView is the result of `backup --json`.
type backupView struct {
	Snapshot snapshotView  `json:"snapshot"`
	Lacks    string        `json:"lacks,omitempty"`    // what the copy lacks: sockets, other mounts, …
	Torn     int64         `json:"torn,omitempty"`     // files that changed while they were read (live, or the freeze command allows it)
	LeftOut  int64         `json:"left_out,omitempty"` // entries that were gone when they were to be read
	Took     float64       `json:"took_seconds"`
	Dropped  []snapshot.ID `json:"dropped,omitempty"` // by retention
}

func takeBackup(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	labels, err := labelsOf(c.StringSlice("label"))
	if err != nil {
		return err
	}
	return underLock(c, func() error {
		return withDepot(c, func(ctx context.Context, d *depot) error {
			ctx, cancel := context.WithTimeoutCause(ctx, d.cfg.Backup.Timeout, fmt.Errorf("backup not done within %v", d.cfg.Backup.Timeout))
			defer cancel()
			return d.backup(ctx, c, labels)
		})
	})
}

func (d *depot) backup(ctx context.Context, c *cli.Context, labels map[string]string) error {
	cat, err := d.repo.Catalog(ctx)
	if err != nil {
		return err
	}
	who, err := d.writer(ctx, c.String(besideKey), &cat)
	if err != nil {
		return err
	}
	src, err := d.source(c)
	if err != nil {
		return err
	}
	scratch, err := d.scratch(c.String("scratch"), src)
	if err != nil {
		return err
	}
	newest, _ := cat.Newest()
	w := newWork(c, d, newest.Bytes)
	end := w.begin("backup")
	defer end()
	r, err := backup.Take(ctx, src, backup.Options{
		Repository: d.repo, Holder: who.Holder, About: d.about(who, labels), Scratch: scratch, Full: c.Bool("full"),
		AllowShrink: d.cfg.Backup.AllowShrink, Progress: w.counted, Log: d.log,
		Before: func(ctx context.Context) error { return d.still(ctx, who) },
	})
	if err != nil {
		return d.backupError(err)
	}
	view := backupView{Snapshot: viewOfSnapshot(&r.Snapshot), Lacks: r.Lacks, Torn: r.Torn, LeftOut: r.LeftOut, Took: r.Took.Seconds()}
	view.Dropped = d.retain(ctx, who)
	end()
	return printBackup(c, view)
}

// retain forgets what --keep-… does not want. The backup stands, whatever becomes of that.
func (d *depot) retain(ctx context.Context, who writer) []snapshot.ID {
	keep := snapshot.Keep(d.cfg.Backup.Keep)
	if keep == (snapshot.Keep{}) {
		return nil
	}
	p, err := backup.Keep(ctx, d.repo, who.Holder, keep)
	if err != nil {
		d.log.Warn("the backup was published, but old snapshots were not removed", "cause", err)
	}
	return p.Forgotten
}

func (d *depot) source(c *cli.Context) (backup.Source, error) {
	b := d.cfg.Backup
	if command := invocationOf(c).command; invocationOf(c).dashed {
		b.Exec = command
	}
	s := backup.Source{
		Mode: backup.Mode(b.Effective()), Preset: b.Preset, Data: d.cfg.Data, Exclude: b.Exclude, Exec: b.Exec, Freeze: b.Freeze,
		Store: store.DirOf(d.cfg.Store.URL), Run: backup.Process{Env: d.scrubbed()},
	}
	if s.Mode == "" {
		s.Mode = backup.Cold // the strictest: a file that moves fails it
	}
	if s.Mode != backup.Command && s.Data == "" {
		return s, exit.Withf(exit.Usage, "nothing to back up: expected --data DIR, --preset NAME, or after -- a command whose output is the snapshot")
	}
	cred, err := credential(b.User)
	if err != nil {
		return s, exit.With(exit.Config, err)
	}
	if cred != nil {
		s.Run.Credential = &syscall.Credential{Uid: cred.UID, Gid: cred.GID, Groups: cred.Groups}
	}
	return s, exit.With(exit.Usage, s.Check())
}

// scratch is where the last manifest is kept, which makes an increment cheap; losing it costs no more than reading
// it from the store.
func (d *depot) scratch(given string, src backup.Source) (string, error) {
	if given != "" {
		return filepath.Abs(given)
	}
	var tried error
	for _, ours := range cacheDirs() {
		err := ownDir(ours)
		if err == nil {
			dir := filepath.Join(ours, snapshot.SumOf([]byte(d.repo.ID+"\n"+src.Data+"\n"+src.Preset)).String())
			if err = os.MkdirAll(dir, 0o711); err == nil {
				return dir, nil
			}
		}
		tried = errors.Join(tried, err)
	}
	return "", exit.Withf(exit.Config, "no place for what is kept between backups: %s: name one with --scratch", oneLine(tried))
}

// cacheDirs are places that outlive a backup, the best first. What is kept there says nothing that the
// store does not know, and is compared with the catalog before it is believed.
func cacheDirs() []string {
	var all []string
	if os.Geteuid() == 0 {
		all = append(all, "/var/cache/interlock")
	}
	if dir, err := os.UserCacheDir(); err == nil && filepath.IsAbs(dir) {
		all = append(all, filepath.Join(dir, "interlock"))
	}
	return append(all, filepath.Join(os.TempDir(), fmt.Sprintf("interlock-%d", os.Geteuid())))
}

// ownDir makes a directory that nobody else may write into: dumps pass through it, and the last one lies where
// everybody may make directories.
func ownDir(dir string) error {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	owner, known := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !known || int(owner.Uid) != os.Geteuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s is not a directory of ours alone (%s)", dir, info.Mode())
	}
	return nil
}

func (d *depot) about(w writer, labels map[string]string) snapshot.About {
	a := snapshot.About{Holder: d.cfg.Holder, Node: d.cfg.Fence.Node, Release: thisBuild().Version, Labels: labels}
	if w.name != "" {
		a.Holder = w.name
	}
	return a
}

// backupError gives what package backup says its exit code.
func (d *depot) backupError(err error) error {
	for _, row := range []struct {
		is   error
		code int
	}{{backup.ErrSource, exit.Usage}, {backup.ErrTool, exit.Config}, {backup.ErrBusy, exit.Held}} {
		if errors.Is(err, row.is) {
			return exit.With(row.code, err)
		}
	}
	return exit.With(courier.Code(err, exit.Restore), fmt.Errorf("nothing was published: %w", err))
}

// scrubbed is the environment of commands that have no business in the store.
func (d *depot) scrubbed() []string {
	names := storeSecrets(d.cfg)
	return slices.DeleteFunc(slices.Clone(d.environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(names, name)
	})
}

// Bounds of labels, which every catalog repeats.
const (
	maxLabels = 16
	maxLabel  = 128
)

func labelsOf(texts []string) (map[string]string, error) {
	if len(texts) > maxLabels {
		return nil, exit.Withf(exit.Usage, "--label is given %d times: expected at most %d", len(texts), maxLabels)
	}
	labels := map[string]string{}
	for _, text := range texts {
		name, value, found := strings.Cut(text, "=")
		if _, twice := labels[name]; twice || !found || name == "" || len(text) > maxLabel || oneLineText(text) != text {
			return nil, exit.Withf(exit.Usage, "--label %q: expected NAME=VALUE, each name once, at most %d bytes", text, maxLabel)
		}
		labels[name] = value
	}
	return labels, nil
}

func printBackup(c *cli.Context, v backupView) error {
	if c.Bool("json") {
		return writeResult(c.App.Writer, v)
	}
	s := v.Snapshot
	text := fmt.Sprintf("%s published: %d entries with %s, %s added to the store, in %s", s.ID, s.Entries, progress.Bytes(s.Bytes), progress.Bytes(s.Stored), took(v.Took))
	for _, more := range []struct {
		count int64
		what  string
	}{{v.Torn, "files changed while they were read"}, {v.LeftOut, "entries were gone when they were to be read"}, {int64(len(v.Dropped)), "older snapshots removed"}} {
		if more.count > 0 {
			text += fmt.Sprintf("; %d %s", more.count, more.what)
		}
	}
	if v.Lacks != "" {
		text += "; " + v.Lacks
	}
	_, err := fmt.Fprintln(c.App.Writer, text)
	return err
}
