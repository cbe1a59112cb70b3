package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/interlock-run/interlock/fence/agent"
	"github.com/interlock-run/interlock/fence/watchdog"
	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/lifecycle"
	"github.com/interlock-run/interlock/internal/notify"
	"github.com/interlock-run/interlock/lock"
)

// fenceCheckBudget is for the agent's own description of itself.
const fenceCheckBudget = 30 * time.Second

// fencePlan is how nodes are switched off; nil where no agent is configured. What cannot work is refused
// before anything begins, not in a hold-off years later.
func fencePlan(cfg config.Config, environ, secrets []string) (func(context.Context, []string, lock.Owed) error, error) {
	if cfg.Fence.Agent == "" {
		return nil, nil
	}
	a, err := fenceAgent(cfg.Fence, environ, secrets)
	if err != nil {
		return nil, exit.With(exit.Config, err)
	}
	return func(ctx context.Context, env []string, o lock.Owed) error { return a.Off(ctx, o.Node, env) }, nil
}

func fenceAgent(f config.Fence, environ, secrets []string) (agent.Agent, error) {
	options, err := agent.ReadOptions(f.OptionsFile)
	if err != nil {
		return agent.Agent{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), fenceCheckBudget)
	defer cancel()
	return agent.Agent{
		Path: f.Agent, Options: options, Timeout: f.Timeout, Env: fenceEnvironment(environ, secrets),
	}.Check(ctx)
}

// fenceEnvironment is ours, without what is nobody else's: the store's secrets, and every INTERLOCK_ variable.
func fenceEnvironment(environ, secrets []string) []string {
	never := slices.Concat(secrets, notify.Variables())
	return slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return strings.HasPrefix(name, "INTERLOCK_") || strings.HasPrefix(name, "__INTERLOCK_") || slices.Contains(never, name)
	})
}

// watchdogPlan is the watchdog of this machine; nil where none is configured.
func watchdogPlan(cfg config.Config) (lifecycle.Watchdog, error) {
	if cfg.Fence.Watchdog == "" {
		return nil, nil
	}
	if err := watchdog.Check(cfg.Fence.Watchdog); err != nil {
		return nil, exit.With(exit.Config, err)
	}
	t := lockTiming(cfg.Timing)
	within, err := watchdog.Fits(t.Usable(), t.Heartbeat+time.Duration(t.Tries)*t.TryTimeout, t.Margin)
	if err != nil {
		return nil, exit.With(exit.Config, err)
	}
	return watchdog.New(cfg.Fence.Watchdog, within, t.Margin), nil
}

// fencingNow are doctor's lines about fencing.
func fencingNow(cfg config.Config, environ []string) []checkup {
	return append(watchdogNow(cfg), agentNow(cfg, environ))
}

const fencingTopic = "fencing"

func watchdogNow(cfg config.Config) []checkup {
	dog, err := watchdogPlan(cfg)
	switch {
	case err != nil:
		return []checkup{{Level: "fail", Topic: fencingTopic, What: err.Error(), code: exit.Config}}
	case dog == nil:
		return nil
	}
	return []checkup{{Level: "ok", Topic: fencingTopic, What: fmt.Sprintf("%s resets this machine where the payload cannot be ended in time; it was not opened, which would arm it", cfg.Fence.Watchdog)}}
}

func agentNow(cfg config.Config, environ []string) checkup {
	if cfg.Fence.Agent == "" {
		return checkup{Level: "ok", Topic: fencingTopic, What: "no fence agent: after a crash the hold-off is waited out"}
	}
	if _, err := fenceAgent(cfg.Fence, environ, storeSecrets(cfg)); err != nil {
		return checkup{Level: "fail", Topic: fencingTopic, What: err.Error(), code: exit.Config}
	}
	return checkup{Level: "ok", Topic: fencingTopic, What: fmt.Sprintf("%s may end the hold-off by a confirmed off; this node is %q to the others, it must be the name that the agent knows", cfg.Fence.Agent, cfg.Fence.Node)}
}
