package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"syscall"
	"time"

	"github.com/interlock-run/interlock/backup"
	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/courier"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/health"
	"github.com/interlock-run/interlock/internal/lifecycle"
	"github.com/interlock-run/interlock/warm/memcached"
)

// addWarm puts what warming needs into the plan of a run.
func addWarm(p *lifecycle.Plan, cfg config.Config, log *slog.Logger) error {
	w := cfg.Warm
	if err := checkWarm(w, cfg.Process.Command); err != nil {
		return err
	}
	if !w.Loads() && w.Schedule == "" {
		return nil
	}
	p.Warm = lifecycle.WarmPlan{
		Load: w.Memcached != "" && w.From != config.FromNone, Exec: w.Exec, Limit: w.Budget.Whole(), Ready: w.ReadyAt(), Stop: w.IfCold == "stop",
	}
	if p.Warm.Load && w.Ring.Kind != "" && w.Ring.Self == "" {
		return exit.Withf(exit.Config, "warm.ring.self is missing: expected our own name among warm.ring.nodes")
	}
	p.Store.Errand.Warm = w
	if w.Memcached != "" {
		restartWarm(p, cfg, log)
		if err := scratchOfWarm(p, w.Schedule != ""); err != nil {
			return err
		}
	}
	if w.Schedule == "" {
		return nil
	}
	s, err := backup.ParseSchedule(w.Schedule, time.UTC)
	if err != nil {
		return exit.Withf(exit.Config, "warm.schedule: %w", err)
	}
	p.Store.Next = s.Next
	return nil
}

// restartWarm has a memcached with -e keep its content: TERM would drop it.
func restartWarm(p *lifecycle.Plan, cfg config.Config, log *slog.Logger) {
	m, _ := readMemcached(cfg.Process.Command)
	if m.memory == "" {
		return
	}
	p.Payload.NextSecond = true
	if p.Stop.Signal == syscall.SIGTERM {
		p.Stop.Signal = syscall.SIGUSR1
		log.Info("memcached keeps its content in a file (-e): it is stopped by USR1, not TERM, which would drop it", "file", m.memory)
	}
}

// scratchOfWarm is where a dump lies until it is published, and how far a load is. A load can do without.
func scratchOfWarm(p *lifecycle.Plan, dumps bool) (err error) {
	p.Store.Scratch, err = warmFolder()
	if err == nil || !dumps {
		return nil
	}
	if p.State == "" {
		return err
	}
	p.Store.Scratch = p.State // of a container whose own files are read-only
	return nil
}

// dryWarm says how the service would be warmed; whether there is a dump is known at the start alone.
func dryWarm(out io.Writer, p lifecycle.WarmPlan, w config.Warm) {
	if p.Load {
		for _, one := range w.Instances() {
			fmt.Fprintf(out, "warm     %s from the dumps (%s), %s, ready: %s\n", one.Memcached, w.From, w.Order, w.Ready)
		}
	}
	if len(p.Exec) > 0 {
		fmt.Fprintf(out, "warm     %q, ready: %s\n", p.Exec, w.Ready)
	}
}

// greetTime bounds the look of check-config at a memcached.
const greetTime = 3 * time.Second

// checkCache refuses a memcached that can never be dumped. One that does not answer is none of
// check-config's matter: most often it has not been started.
func checkCache(ctx context.Context, w config.Warm) error {
	if w.Schedule == "" && w.From == config.FromNone {
		return nil
	}
	for _, one := range w.Instances() {
		if err := greetCache(ctx, one); err != nil {
			return err
		}
	}
	return nil
}

func greetCache(ctx context.Context, w config.Warm) error {
	server, err := courier.CacheServer(w)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, greetTime)
	defer cancel()
	c, err := memcached.Dial(ctx, server, memcached.Options{Timeout: greetTime / 3})
	if errors.Is(err, memcached.ErrBinaryOnly) || errors.Is(err, memcached.ErrAuth) || errors.Is(err, memcached.ErrTLS) {
		return courier.CacheError(fmt.Errorf("warm.memcached: %w", err))
	}
	if err == nil {
		c.Close()
	}
	return nil
}

// warmMetrics are those of a run that warms its service.
func warmMetrics(w *lifecycle.WarmStatus) []health.Metric {
	if w == nil {
		return nil
	}
	state := health.Metric{Name: "interlock_warm_state", Help: "1 for how the warming of this run stands.", Type: "gauge"}
	for _, name := range lifecycle.WarmResults() {
		state.Samples = append(state.Samples, health.Sample{Labels: []string{"state", name}, Value: one(w.Result == name)})
	}
	all := []health.Metric{
		state, health.Gauge("interlock_warm_fraction", "Part of what was to be loaded that has been dealt with.", w.Fraction),
		health.Gauge("interlock_warm_seconds", "How long the warming of this run took; 0 while it goes on.", w.Seconds),
	}
	if w.Load != nil {
		all = append(all, health.Gauge("interlock_warm_items", "Items that were loaded.", float64(w.Load.Loaded+w.Load.Resumed)))
	}
	return all
}

// printWarm is the warming's part of `status`.
func printWarm(out io.Writer, w *lifecycle.WarmStatus) {
	if w == nil {
		return
	}
	fmt.Fprintf(out, "warming\t%s, %.0f %%", w.Result, w.Fraction*100)
	if w.Load != nil {
		fmt.Fprintf(out, ", %d of %d items loaded", w.Load.Loaded+w.Load.Resumed, w.Load.Held)
		if w.Load.Stopped != "" {
			fmt.Fprintf(out, ", stopped: %s", w.Load.Stopped)
		}
	}
	if w.Failure != "" {
		fmt.Fprintf(out, ": %s", oneLineText(w.Failure))
	}
	fmt.Fprintln(out, "\t")
}
