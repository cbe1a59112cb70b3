package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/lifecycle"
	"github.com/interlock-run/interlock/lock"
)

func lockCommand() *cli.Command {
	return &cli.Command{
		Name:  "lock",
		Usage: "look at a lock, prepare it for a first start, or clear it after fencing by hand",
		Subcommands: []*cli.Command{
			{
				Name: "show", Usage: "who holds the lock, with which token, and who waits",
				Flags:  append(configFlags(), jsonFlag()),
				Action: lockShow,
			},
			{
				Name:   "init",
				Usage:  "create the state record, so that a first start need not wait the hold; an existing one is never changed",
				Flags:  configFlags(),
				Action: lockInit,
			},
			lockClearCommand(),
		},
	}
}

// lockView is `lock show --json`.
type lockView struct {
	Lock   string       `json:"lock"`
	Held   bool         `json:"held"`
	Queue  []lockWaiter `json:"queue"` // the first one holds the lock
	Record *lock.Record `json:"record,omitempty"`
	// HeartbeatAge is since the record was last written.
	HeartbeatAge float64 `json:"heartbeat_age_seconds,omitempty"`
	RecordError  string  `json:"record_error,omitempty"`
	RecordRaw    string  `json:"record_raw,omitempty"` // where it cannot be understood
}

type lockWaiter struct {
	Holder string     `json:"holder"`
	Token  string     `json:"token"`
	Key    string     `json:"key"`
	Since  *time.Time `json:"since,omitempty"`
}

func lockShow(c *cli.Context) error {
	if err := noCommand(c); err != nil {
		return err
	}
	cfg, _, err := loadConfigWith(c, "lock.url")
	if err != nil {
		return err
	}
	d, err := openDriver(c.Context, cfg, newLogger(cfg.Log, c.App.ErrWriter))
	if err != nil {
		return err
	}
	defer d.Close()
	v, err := d.View(c.Context)
	if err != nil {
		return exit.With(lifecycle.LockCode(err), err)
	}
	view := viewOf(lockName(cfg.Lock.URL), v, lockTiming(cfg.Timing))
	if c.Bool("json") {
		return json.NewEncoder(c.App.Writer).Encode(view)
	}
	return printView(c.App.Writer, view)
}

func viewOf(name string, v lock.View, t lock.Timing) lockView {
	view := lockView{Lock: name, Held: len(v.Queue) > 0, Queue: []lockWaiter{}}
	for _, w := range v.Queue {
		lw := lockWaiter{Holder: w.Holder, Token: w.Token.String(), Key: w.Key}
		if !w.Since.IsZero() {
			lw.Since = &w.Since
		}
		view.Queue = append(view.Queue, lw)
	}
	if !v.Record.Exists() {
		return view
	}
	view.HeartbeatAge = v.RecordAge.Seconds()
	r, err := lock.DecodeRecord(v.Record.Data, t)
	if err != nil {
		view.RecordError, view.RecordRaw = err.Error(), string(v.Record.Data)
		return view
	}
	view.Record = &r
	if !r.At.IsZero() { // the writer's own clock says more than what services keep of times
		view.HeartbeatAge = max(0, time.Since(r.At).Seconds())
	}
	return view
}

func printView(out io.Writer, v lockView) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "lock\t%s\n", v.Lock)
	if !v.Held {
		fmt.Fprintln(w, "holder\tnone")
	}
	for i, q := range v.Queue {
		role := "holder"
		if i > 0 {
			role = "waits"
		}
		since := ""
		if q.Since != nil {
			since = "since " + q.Since.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%s\t%s\ttoken %s\t%s\n", role, orNone(q.Holder), q.Token, since)
	}
	switch {
	case v.RecordError != "":
		fmt.Fprintf(w, "record\t%s\n\t%q\n", v.RecordError, v.RecordRaw)
	case v.Record == nil:
		fmt.Fprintln(w, "record\tnone: "+firstStart(v.Lock))
	default:
		fmt.Fprintf(w, "record\t%s by %s on node %s\ttoken %s\twritten %.1fs ago\n",
			v.Record.Phase, v.Record.Holder, v.Record.Node, v.Record.Token, v.HeartbeatAge)
		for _, o := range v.Record.Owes {
			fmt.Fprintln(w, owedLine(o))
		}
	}
	return w.Flush()
}

// firstStart is what a start without a record comes to. A lock file and its record are made in one step.
func firstStart(name string) string {
	if strings.HasPrefix(name, "file:") {
		return "a first start waits the hold only if a claim lies in the state directory"
	}
	return "a first start waits the hold, unless `interlock lock init` made one"
}

// recordKeeper is what the verbs work with that write the state record without a run.
type recordKeeper struct {
	name    string // of the lock, as it is shown
	driver  lock.Driver
	options lock.Options
}

// openRecord reads the configuration and reaches the lock service. The driver is the caller's to close.
func openRecord(c *cli.Context) (recordKeeper, error) {
	cfg, warnings, err := loadConfigWith(c, "lock.url")
	if err != nil {
		return recordKeeper{}, err
	}
	log := newLogger(cfg.Log, c.App.ErrWriter)
	for _, w := range warnings {
		log.Warn(w)
	}
	boot, err := bootID()
	if err != nil {
		return recordKeeper{}, exit.With(exit.Internal, err)
	}
	d, err := openDriver(c.Context, cfg, log)
	if err != nil {
		return recordKeeper{}, err
	}
	o := lockPlan(cfg, boot).Options
	o.Clock, o.Log = clock.Now, func(msg string, args ...any) { log.Debug(msg, args...) }
	o.Warn = func(msg string, args ...any) { log.Warn(msg, args...) }
	return recordKeeper{lockName(cfg.Lock.URL), d, o}, nil
}

func lockInit(c *cli.Context) error {
	if err := noCommand(c); err != nil {
		return err
	}
	k, err := openRecord(c)
	if err != nil {
		return err
	}
	defer k.driver.Close()
	created, existing, err := lock.Init(c.Context, k.driver, k.options)
	if err != nil {
		return exit.With(lifecycle.LockCode(err), err)
	}
	if !created {
		if _, err := lock.DecodeRecord(existing.Data, k.options.Timing); err != nil {
			return exit.With(exit.Config, err)
		}
		fmt.Fprintf(c.App.Writer, "%s: there is a state record already (%d bytes); it was not changed\n", k.name, len(existing.Data))
		return nil
	}
	fmt.Fprintf(c.App.Writer, "%s: state record created: the first start need not wait the hold.\nDo this only where nobody ever ran: after a removal of record and lock key it is as good as saying that the old holder is dead.\n", k.name)
	return nil
}

// owedLine is an earlier holder that is not proven dead and drained.
func owedLine(o lock.Owed) string {
	if o.Unknown {
		return "owed\tsomebody before, whom nobody knows\tnode " + lock.UnknownNode
	}
	return fmt.Sprintf("owed\tan earlier holder on node %s\ttoken %s\tvolumes %q", orNone(o.Node), o.Token, o.Volumes)
}
