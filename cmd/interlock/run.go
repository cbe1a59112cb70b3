package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/health"
	"github.com/interlock-run/interlock/internal/lifecycle"
	"github.com/interlock-run/interlock/lock"
	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/supervise"
)

func runCommand() *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "run a command only while the lock is held and the mount is right",
		ArgsUsage: "-- COMMAND [ARGUMENT...]",
		Flags:     configFlags(),
		Action:    run,
	}
}

// run is the agent's side of `interlock run`: the guard has started this process and waits for its word.
// Whatever ends it also goes to the reason file.
func run(c *cli.Context) error {
	defer mountcheck.DropAhead() // a run that ends before it has watched a mount leaves it, else
	if err := noArguments(c); err != nil {
		return err
	}
	cfg, warnings, err := loadConfig(c)
	if err == nil {
		err = runWith(c, cfg, warnings)
	}
	if werr := writeReason(cfg.Health.ReasonFile, err); werr != nil {
		fmt.Fprintf(c.App.ErrWriter, "interlock: cannot write the reason file: %v\n", werr)
	}
	return err
}

// logPatience is how long the last lines of the log may take to be read.
const logPatience = time.Second

func runWith(c *cli.Context, cfg config.Config, warnings []string) error {
	defer collectLater()()
	out := newSteadyWriter(c.App.ErrWriter)
	defer out.Close(logPatience)
	log := newLogger(cfg.Log, out)
	for _, w := range warnings {
		log.Warn(w)
	}
	name := lockName(cfg.Lock.URL)
	inv := invocationOf(c)
	if lookup(inv.environ, "INTERLOCK_TOKEN") != "" && lockScope(lookup(inv.environ, "INTERLOCK_LOCK")) == lockScope(name) {
		return exit.Withf(exit.Usage, "this process runs under an interlock that holds %s already: it would wait for itself for ever; drop the inner `interlock run`, or give it a lock of its own", name)
	}
	if cfg.Process.DryRun {
		return dryRun(c, cfg)
	}
	plan, found, err := makePlan(cfg, inv, log)
	if err != nil {
		return err
	}
	driver, err := openDriver(c.Context, cfg, log)
	if err != nil {
		return err
	}
	plan.Lock.Driver = driver
	defer func() {
		if err := driver.Close(); err != nil {
			log.Debug("closing the lock driver", "cause", err)
		}
	}()
	h := newHerald(inv.environ, log)
	defer h.close()
	return follow(cfg, plan, found, h, log)
}

// follow connects to the guard and runs the plan to its end.
func follow(cfg config.Config, plan lifecycle.Plan, found []finding, h *herald, log *slog.Logger) error {
	supervise.IgnoreStopSignals()
	guard, err := supervise.Connect()
	if err != nil {
		return exit.Withf(exit.Internal, "cannot reach the guard process: %w: `interlock run` must be started as its own command", err)
	}
	runner := lifecycle.New(plan, lifecycle.Deps{Guard: guard, Clock: clock.Now, Log: log, Observe: h.observer()})
	if cfg.Health.Listen != "" {
		s, err := health.Listen(cfg.Health.Listen, func() health.Picture { return picture(runner, found) })
		if err != nil {
			return exit.With(listenCode(err), err)
		}
		defer func() {
			if err := s.Close(); err != nil {
				log.Debug("closing the health server", "cause", err)
			}
		}()
	}
	announce(log, cfg, plan)
	for _, f := range found {
		log.Warn(f.What, "topic", f.Topic, "do", f.Do)
	}
	v := runner.Run()
	level := slog.LevelError // an end of our own making is said at every log level
	if v.Payload || v.Code == exit.OK {
		level = slog.LevelInfo
	}
	log.Log(context.Background(), level, "ended", "code", v.Code, "reason", v.Reason)
	return verdictError(v)
}

// listenCode: an address that is taken may be free at the next start, and then 78 would have kept the service down.
func listenCode(err error) int {
	if errors.Is(err, unix.EADDRINUSE) {
		return exit.Unreachable
	}
	return exit.Config
}

// verdictError is the run's end as an error that was logged already.
func verdictError(v lifecycle.Verdict) error {
	if v.Code == exit.OK {
		return nil
	}
	return &endedError{v}
}

// endedError carries a verdict to the reason file; the log has told it to people.
type endedError struct{ v lifecycle.Verdict }

func (e *endedError) Error() string { return e.v.Reason }
func (e *endedError) As(target any) bool {
	if t, ok := target.(**exit.Error); ok {
		*t = &exit.Error{Code: e.v.Code}
		return true
	}
	return false
}

// announce is the one start line: what was chosen.
func announce(log *slog.Logger, cfg config.Config, p lifecycle.Plan) {
	t := p.Lock.Options.Timing
	log.Info("starting", "version", thisBuild().Version, "lock", p.Lock.Name, "holder", p.Lock.Options.Holder, "node", p.Lock.Options.Node,
		"wait", cfg.Lock.Wait, "data", p.Data, "state_dir", p.State, "restore", p.Restore.When, "device", cfg.Storage.Device.Attach.Dev, "hold", t.Hold.String(),
		"take_over_within", (t.ServerTimeout() + lock.Scaled(t.Hold+t.Settle)).Round(time.Second).String(), "command", p.Payload.Name)
}

// reasonLimit is what Kubernetes keeps of a termination message.
const reasonLimit = 4096

// writeReason leaves the reason of the end, one line. The default file is written, never created.
func writeReason(path string, reason error) error {
	if path == "" {
		return nil
	}
	text := "ended with exit code 0"
	if reason != nil {
		text = oneLine(reason)
	}
	flags := os.O_WRONLY | os.O_TRUNC | unix.O_NONBLOCK // a FIFO without a reader must not hold up the end
	if path != config.DefaultReasonFile {
		flags |= os.O_CREATE
	}
	f, err := os.OpenFile(path, flags, 0o644)
	if path == config.DefaultReasonFile && errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text+"\n")
	return errors.Join(err, f.Close())
}

// oneLine is valid UTF-8 even where it was cut: what reads the file may refuse anything else.
func oneLine(err error) string {
	b := []byte(err.Error())
	for i := range b {
		if b[i] == '\n' {
			b[i] = ' '
		}
	}
	if len(b) > reasonLimit-1 {
		b = b[:reasonLimit-1]
	}
	return strings.ToValidUTF8(string(b), "?")
}
