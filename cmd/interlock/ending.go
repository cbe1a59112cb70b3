package main

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/lifecycle"
	"github.com/interlock-run/interlock/mountcheck/rescue"
)

// stopPlan is how a run ends, and what is done where it does not. A reset that this process may not make is
// refused before anything relies on it.
func stopPlan(cfg config.Config) (lifecycle.StopPlan, error) {
	sig, _ := cfg.Process.Stop.Number()
	p := lifecycle.StopPlan{
		Signal: sig, Grace: cfg.Process.Stop.Grace, LossGrace: cfg.Timing.Grace,
		Free: cfg.Process.End.OnStuck != "wait", Undrained: cfg.Process.End.OnUndrained == "release",
	}
	if cfg.Process.End.OnStuck != "reboot" {
		return p, nil
	}
	p.ResetAfter = cfg.Process.End.RebootAfter
	if err := rescue.MayReset(); err != nil {
		return p, exit.Withf(exit.Config, "on_stuck: reboot: this process may not reset the machine: %w: give it that, or choose free", err)
	}
	return p, nil
}

// endingNow is what doctor says of on_stuck; what can be done for each mount is said with the mounts.
func endingNow(cfg config.Config) []checkup {
	how := cfg.Process.End.OnStuck
	if _, err := stopPlan(cfg); err != nil {
		return []checkup{{Level: "fail", Topic: "end", What: err.Error(), code: exit.Config}}
	}
	l := checkup{Level: "ok", Topic: "end", What: fmt.Sprintf("on_stuck: %s, on_undrained: %s", how, cfg.Process.End.OnUndrained)}
	if err := rescue.Privileged(); err != nil && how == "free" {
		l.Level, l.Do = "warn", "give this process that capability, or the host has to free what is stuck"
		l.What += fmt.Sprintf(": no lever is in reach: %v", err)
	}
	return []checkup{l}
}

// dryEnding prints what a run can tell, and free, at its end.
func dryEnding(out io.Writer, plan lifecycle.Plan, log *slog.Logger) {
	for _, v := range lifecycle.Outlook(plan, log) {
		fmt.Fprintf(out, "end      %s: %s: %s\n", v.Path, v.Outlook, v.Why)
		if len(v.Levers) > 0 {
			fmt.Fprintf(out, "end      %s: levers: %s%s\n", v.Path, strings.Join(v.Levers, ", then "), reach(v.Locked))
		}
	}
}

func reach(locked string) string {
	if locked == "" {
		return ""
	}
	return " (out of reach: " + locked + ")"
}
