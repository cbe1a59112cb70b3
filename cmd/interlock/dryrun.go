package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/lifecycle"
	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/restore"
)

// dryRun prints what a run would do and touches nothing: no place in the queue, no claim, no state file.
// Its exit code is that of the first thing that would stop the run.
func dryRun(c *cli.Context, cfg config.Config) error {
	log := newLogger(config.Log{Level: "error"}, c.App.ErrWriter)
	plan, err := makePlan(cfg, invocationOf(c), log)
	if err != nil {
		return err
	}
	out := c.App.Writer
	ctx, cancel := context.WithTimeout(c.Context, cfg.Budgets.Mount)
	defer cancel()
	found := mountcheck.Look(ctx, plan.Mounts)
	for _, f := range found {
		fmt.Fprintf(out, "mount    %s: %s %s\n", f.Path, f.Kind, f.Detail)
	}
	fmt.Fprintf(out, "lock     %s: %s\n", plan.Lock.Name, lockLine(ctx, cfg))
	if bad, refused := mountcheck.Refusal(found); refused {
		return exit.Withf(lifecycle.FindingCode(plan.Mounts, bad), "the run would end here: %s: %s: %s", bad.Path, bad.Detail, bad.Do)
	}
	if err := dryRestore(ctx, out.Write, plan); err != nil {
		return err
	}
	fmt.Fprintf(out, "state    %s\nrun      %q\n", orNone(plan.State), cfg.Process.Command)
	return nil
}

// dryRestore decides as the run would, in a goroutine that a hung mount may keep: the process ends soon.
func dryRestore(ctx context.Context, write func([]byte) (int, error), plan lifecycle.Plan) error {
	if plan.Data == "" {
		return nil
	}
	decided := make(chan restore.Decision, 1)
	go func() {
		look := restore.Inspect(plan.Data, plan.State, 0)
		decided <- restore.Decide(look, plan.Restore.When, len(plan.Restore.Exec) > 0)
	}()
	select {
	case d := <-decided:
		_, _ = write([]byte(fmt.Sprintf("restore  %s: %s\n", d.Action, d.Reason)))
		if d.Action == restore.Refuse {
			return exit.Withf(exit.Restore, "the run would end here: %s", d.Reason)
		}
		return nil
	case <-ctx.Done():
		return exit.Withf(exit.Restore, "the data directory %s does not answer within the mount budget", plan.Data)
	}
}

func lockLine(ctx context.Context, cfg config.Config) string {
	d, err := openDriver(ctx, cfg, newLogger(config.Log{Level: "error"}, discard{}))
	if err != nil {
		return err.Error()
	}
	defer d.Close()
	v, err := d.View(ctx)
	if err != nil {
		return err.Error()
	}
	if len(v.Queue) == 0 {
		return "free"
	}
	return fmt.Sprintf("held by %s with token %s, %d in the queue", orNone(v.Queue[0].Holder), v.Queue[0].Token, len(v.Queue)-1)
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
