package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/lifecycle"
	"github.com/interlock-run/interlock/lock"
	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/restore"
)

// dryRun prints what a run would do and touches nothing: no place in the queue, no claim, no state file.
// Its exit code is that of the first thing that would stop the run.
func dryRun(c *cli.Context, cfg config.Config) error {
	log := newLogger(config.Log{Level: "error"}, c.App.ErrWriter)
	plan, around, err := makePlan(cfg, invocationOf(c), log)
	if err != nil {
		return err
	}
	out := c.App.Writer
	ctx, cancel := context.WithTimeout(c.Context, cfg.Budgets.Mount)
	defer cancel()
	for _, f := range around {
		fmt.Fprintf(out, "warning  %s: %s\n", f.Topic, f.line())
	}
	if err := dryDevice(out, plan, cfg.Storage.Device); err != nil {
		return wouldEnd(err)
	}
	mounts := plan.Mounts
	if cfg.Storage.Device.Wanted() {
		mounts = plan.Device.Others(mounts)
	}
	found := mountcheck.Look(ctx, mounts)
	for _, f := range found {
		fmt.Fprintf(out, "mount    %s: %s %s\n", f.Path, f.Kind, f.Detail)
	}
	line, lockErr := lookAtLock(ctx, cfg)
	fmt.Fprintf(out, "lock     %s: %s\n", plan.Lock.Name, line)
	if bad, refused := mountcheck.Refusal(found); refused {
		return wouldEnd(exit.Withf(lifecycle.FindingCode(plan.Mounts, bad), "%s: %s: %s", bad.Path, bad.Detail, bad.Do))
	}
	if lockErr != nil {
		return wouldEnd(lockErr)
	}
	if onDevice(cfg.Storage.Device, plan.State) {
		fmt.Fprintln(out, "restore  decided once the device is mounted")
	} else if err := dryData(ctx, out, plan); err != nil {
		return wouldEnd(err)
	}
	if err := dryStore(c.Context, out, plan); err != nil {
		return wouldEnd(err)
	}
	dryWarm(out, plan.Warm, cfg.Warm)
	dryEnding(out, plan, log)
	fmt.Fprintf(out, "state    %s\nrun      %q\n", orNone(plan.State), cfg.Process.Command)
	return nil
}

func wouldEnd(err error) error {
	return exit.Withf(exit.Code(err), "the run would end here: %w", err)
}

// dryData reads and decides as the run would, in a goroutine that a hung mount may keep: the process ends
// soon.
func dryData(ctx context.Context, out io.Writer, plan lifecycle.Plan) error {
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		claim, err := dryClaim(plan)
		if err != nil || plan.Data == "" || plan.Store.Restore {
			answers <- answer{claim, err}
			return
		}
		d := restore.Decide(restore.Inspect(plan.Data, plan.State, 0), plan.Restore.When, len(plan.Restore.Exec) > 0)
		if d.Action == restore.Refuse {
			err = exit.Withf(exit.Restore, "%s", d.Reason)
		}
		answers <- answer{fmt.Sprintf("%srestore  %s: %s\n", claim, d.Action, d.Reason), err}
	}()
	select {
	case a := <-answers:
		_, err := io.WriteString(out, a.text)
		return errors.Join(a.err, err)
	case <-ctx.Done():
		return exit.Withf(exit.Restore, "the data directory %s does not answer within the mount budget", plan.Data)
	}
}

// dryClaim is the claim's line, and what forbids a start whatever our token will be.
func dryClaim(plan lifecycle.Plan) (string, error) {
	if plan.State == "" {
		return "", nil
	}
	c, found, err := fence.ReadClaim(plan.State)
	switch {
	case errors.Is(err, fence.ErrClaimCorrupt):
		return "", exit.With(exit.Config, err)
	case err != nil:
		return "", exit.With(exit.Mount, err)
	case !found:
		return "claim    none\n", nil
	}
	line := fmt.Sprintf("claim    token %s by %s for %s\n", c.Token, c.Holder, c.Lock)
	if c.Lock != plan.Lock.Scope {
		return line, exit.Withf(exit.Config, "%s is claimed under another lock, %s, ours is %s: give this service its own --state-dir", plan.State, c.Lock, plan.Lock.Scope)
	}
	return line, nil
}

// lookAtLock is the lock's line, and what would end a run that contends now.
func lookAtLock(ctx context.Context, cfg config.Config) (string, error) {
	d, err := openDriver(ctx, cfg, newLogger(config.Log{Level: "error"}, discard{}))
	if err != nil {
		return err.Error(), unlessRetried(cfg, err)
	}
	defer d.Close()
	v, err := d.View(ctx)
	if err != nil {
		return err.Error(), unlessRetried(cfg, exit.With(lifecycle.LockCode(err), err))
	}
	if v.Record.Exists() {
		if _, err := lock.DecodeRecord(v.Record.Data, lockTiming(cfg.Timing)); err != nil {
			return err.Error(), exit.With(lifecycle.LockCode(err), err)
		}
	}
	if len(v.Queue) == 0 {
		return "free", nil
	}
	if first := v.Queue[0]; first.Foreign && !cfg.Lock.ForeignPeers {
		return "held by another program", exit.With(exit.Config, lock.ForeignAhead(first))
	}
	line := fmt.Sprintf("held by %s with token %s, %d in the queue", orNone(v.Queue[0].Holder), v.Queue[0].Token, len(v.Queue)-1)
	if oneTry(cfg) {
		return line, exit.Withf(exit.Held, "the lock is %s, and lock.wait is 0", line)
	}
	return line, nil
}

// unlessRetried: a lock service that is not reached is tried again for as long as lock.wait says.
func unlessRetried(cfg config.Config, err error) error {
	if exit.Code(err) == exit.Unreachable && !oneTry(cfg) {
		return nil
	}
	return err
}

func oneTry(cfg config.Config) bool {
	limit, bounded := cfg.Lock.WaitLimit()
	return bounded && limit == 0
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
