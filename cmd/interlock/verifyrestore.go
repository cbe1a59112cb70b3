package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/internal/tempdir"
	"github.com/interlock-run/interlock/restore"
	"github.com/interlock-run/interlock/restore/pull"
)

// errCheck is a check command that was not content with what was restored.
var errCheck = errors.New("the check command was not content")

// scratchPrefix is how the names of scratch directories begin.
const scratchPrefix = "interlock-verify-"

// checkVariable tells the check command where the restored data lies; it is its working directory, too.
const checkVariable = "INTERLOCK_RESTORED"

// restored restores a snapshot into a directory of its own, compares all of it, and asks the check command. What
// only a command can load is piped to that: it is the check, too.
func (v *verifier) restored(ctx context.Context, s snapshot.Snapshot) (err error) {
	above := v.c.String("scratch")
	if left := tempdir.Sweep(above, scratchPrefix); left != nil {
		v.d.log.Warn("what a killed verification left stays", "cause", left)
	}
	scratch, err := tempdir.Make(above, scratchPrefix)
	if err != nil {
		return exit.Withf(exit.Restore, "no scratch directory: %w: name one with --scratch", err)
	}
	defer func() {
		if gone := scratch.Remove(); gone != nil {
			v.d.log.Warn("the scratch directory stays", "directory", scratch.Path, "cause", gone)
		}
	}()
	dir, err := filepath.Abs(scratch.Path)
	if err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return exit.With(exit.Restore, err)
	}
	user, err := v.forUser(dir, data)
	if err != nil {
		return err
	}
	dump := pull.NeedsCommand(s.About)
	err = v.restoreInto(ctx, data, filepath.Join(dir, "state"), s, dump)
	if dump && errors.Is(err, pull.ErrCommand) && ctx.Err() == nil {
		return fmt.Errorf("%w: %w", errCheck, err)
	}
	if err != nil || dump {
		return err
	}
	return v.check(ctx, data, user)
}

// forUser lets --user in, under which the check command and those of presets run: by the group, for what is restored may
// be open to whoever gets that far.
func (v *verifier) forUser(dir, data string) (*syscall.Credential, error) {
	cred, err := credential(v.d.cfg.Backup.User)
	if err != nil || cred == nil {
		return nil, exit.With(exit.Config, err)
	}
	if err := errors.Join(os.Chown(dir, -1, int(cred.GID)), os.Chmod(dir, 0o710), os.Chown(data, int(cred.UID), int(cred.GID))); err != nil {
		return nil, exit.With(exit.Restore, err)
	}
	return &syscall.Credential{Uid: cred.UID, Gid: cred.GID, Groups: cred.Groups}, nil
}

func (v *verifier) restoreInto(ctx context.Context, data, state string, s snapshot.Snapshot, dump bool) error {
	t := restore.Target{Data: data, StateDir: state, Holder: v.d.cfg.Holder}
	choice := pull.Choice{Action: restore.Run, Reason: "verification", Snapshot: s, Repository: v.d.repo.ID, Catalog: v.cat.Number}
	job, err := v.d.job(v.c, t, choice)
	if err != nil {
		return err
	}
	job.Load, job.Verify = nil, true // the command after -- is the check
	if argv := invocationOf(v.c).command; dump && len(argv) == 0 {
		return exit.Withf(exit.Restore, "snapshot %s is the output of a command, which only a command can load: give after -- one that reads it from its standard input, and checks it", s.ID)
	} else if dump {
		load := job.Base
		load.Argv, load.Dir, load.Env = argv, data, append(v.d.scrubbed(), checkVariable+"="+data)
		job.Load = []pull.Command{load}
	}
	_, err = pull.Run(ctx, job)
	return err
}

func asUser(user *syscall.Credential) string {
	if user == nil {
		return ""
	}
	return fmt.Sprintf(" as user %d", user.Uid)
}

// check runs the command after -- in what was restored. Its output goes to our stderr.
func (v *verifier) check(ctx context.Context, data string, user *syscall.Credential) error {
	argv := invocationOf(v.c).command
	if len(argv) == 0 {
		return nil
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = data, append(v.d.scrubbed(), checkVariable+"="+data)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: user}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err := cmd.Run()
	if ended, is := errors.AsType[*exec.ExitError](err); is && ctx.Err() == nil {
		return fmt.Errorf("%w: %q: %w", errCheck, argv[0], ended)
	}
	if err != nil {
		return exit.Withf(exit.Config, "check command %q in %s%s: %w", argv[0], data, asUser(user), err)
	}
	return nil
}
