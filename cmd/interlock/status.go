package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/lifecycle"
	"github.com/interlock-run/interlock/internal/progress"
)

func statusCommand() *cli.Command {
	return &cli.Command{
		Name: "status", Usage: "ask a run on this host how it stands (its --listen address)",
		Flags: append(configFlags(), jsonFlag()), Action: status,
	}
}

func readyCommand() *cli.Command {
	return &cli.Command{
		Name: "ready", Usage: "exit 0 if the run at --listen is serving, 1 if not: for probes",
		Flags: configFlags(), Action: ready,
	}
}

const askTimeout = 5 * time.Second

// ask gets one page of the run's health server.
func ask(c *cli.Context, page string) (int, []byte, error) {
	if err := noCommand(c); err != nil {
		return 0, nil, err
	}
	cfg, _, err := loadConfigWith(c, "health.listen")
	if err != nil {
		return 0, nil, err
	}
	ctx, cancel := context.WithTimeout(c.Context, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://interlock"+page, nil)
	if err != nil {
		return 0, nil, exit.With(exit.Internal, err)
	}
	network, addr := "tcp", cfg.Health.Listen
	if path, unix := strings.CutPrefix(addr, "unix:"); unix {
		network, addr = "unix", path
	}
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, exit.Withf(exit.Unreachable, "no run answers at %s: %w", cfg.Health.Listen, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return 0, nil, exit.Withf(exit.Unreachable, "the run at %s: %w", cfg.Health.Listen, err)
	}
	return resp.StatusCode, body, nil
}

func ready(c *cli.Context) error {
	code, body, err := ask(c, "/readyz")
	if err != nil {
		return err
	}
	fmt.Fprint(c.App.Writer, string(body))
	if code != http.StatusOK {
		return exit.Status(1)
	}
	return nil
}

func status(c *cli.Context) error {
	code, body, err := ask(c, "/status")
	if err != nil {
		return err
	}
	if code != http.StatusOK {
		return exit.Withf(exit.Unreachable, "what answers there is no run: it has no status page (HTTP %d): give the run's own --listen", code)
	}
	var st runStatus
	if err := json.Unmarshal(body, &st); err != nil {
		return exit.Withf(exit.Unreachable, "what answers there is no run: %w: give the run's own --listen", err)
	}
	if c.Bool("json") {
		_, err := c.App.Writer.Write(body)
		return err
	}
	return printStatus(c.App.Writer, st)
}

func printStatus(out io.Writer, st runStatus) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "phase\t%s since %s\n", st.Phase, st.Since.UTC().Format(time.RFC3339))
	fmt.Fprintf(w, "lock\t%s\n", st.Lock.Name)
	fmt.Fprintf(w, "holder\t%s\n", st.Lock.Holder)
	if st.Lock.Held {
		fmt.Fprintf(w, "token\t%s\n", st.Lock.Token)
		fmt.Fprintf(w, "lease\t%.1fs left, last heartbeat %.1fs ago, %d tries failed since\n", st.Lock.LeaseLeft, st.Lock.LastBeatAgo, st.Lock.FailedTries)
	}
	if st.Lock.HoldOffLeft > 0 {
		fmt.Fprintf(w, "hold-off\t%.1fs left\n", st.Lock.HoldOffLeft)
	}
	if st.Lock.Fencing != "" {
		fmt.Fprintf(w, "fencing\t%s\n", st.Lock.Fencing)
	}
	if st.Lock.Ahead != "" {
		fmt.Fprintf(w, "waits for\t%s\n", st.Lock.Ahead)
	}
	for _, f := range st.Lock.Findings {
		fmt.Fprintf(w, "lock service\t%s\n", f)
	}
	if len(st.Lock.Undrained) > 0 {
		fmt.Fprintf(w, "late writes possible\t%s\n", strings.Join(st.Lock.Undrained, ", "))
	}
	if st.Payload.PID != 0 {
		fmt.Fprintf(w, "payload\tpid %d\n", st.Payload.PID)
	}
	if n := st.Payload.OOMKills; n != nil && *n > 0 {
		fmt.Fprintf(w, "OUT OF MEMORY\tthe kernel killed %d of the payload's memory cgroup since it was started\n", *n)
	}
	printDevice(w, st.Device)
	for _, m := range st.Mounts {
		fmt.Fprintf(w, "mount\t%s: %s %s\n", m.Path, m.Finding, m.Detail)
	}
	if st.Restore != nil {
		fmt.Fprintf(w, "restore\t%s: %s\n", st.Restore.Action, st.Restore.Reason)
	}
	printStore(w, st.Store)
	printWarm(w, st.Warm)
	fmt.Fprintf(w, "kill mode\t%s\t%s\n", st.KillMode, st.Misses)
	if len(st.Stuck) > 0 {
		fmt.Fprintf(w, "STUCK\t%v: killed but not dead; the lock is kept\n", st.Stuck)
	}
	if st.Drain != "" {
		fmt.Fprintf(w, "DRAIN\toverdue: %s\n", st.Drain)
	}
	printEnd(w, st.EndStatus)
	for _, f := range st.Warnings {
		fmt.Fprintf(w, "warning\t%s: %s\n", f.Topic, f.line())
	}
	return w.Flush()
}

// printEnd is what can be told, and freed, at the end, then what was.
func printEnd(w io.Writer, st lifecycle.EndStatus) {
	for _, v := range st.Volumes {
		if v.State != "" {
			fmt.Fprintf(w, "storage\t%s: %s: %s\n", v.Path, v.State, v.Now)
			continue
		}
		fmt.Fprintf(w, "storage at the end\t%s: %s: %s\n", v.Path, v.Outlook, v.Why)
		if len(v.Levers) > 0 {
			fmt.Fprintf(w, "to free it\t%s%s\n", strings.Join(v.Levers, ", then "), reach(v.Locked))
		}
	}
	for _, p := range st.Pulled {
		fmt.Fprintf(w, "LEVER\t%s\n", p)
	}
	if st.Reset != "" {
		fmt.Fprintf(w, "RESET\t%s\n", st.Reset)
	}
}

// printStore is the store's part, for a run that has one.
func printStore(w io.Writer, st *lifecycle.SnapshotStatus) {
	if st == nil {
		return
	}
	fmt.Fprintf(w, "store\t%s\n", st.Store)
	if st.Taken != nil {
		fmt.Fprintf(w, "newest snapshot\t%s of %s\n", st.Newest, st.Taken.UTC().Format(time.RFC3339))
	} else {
		fmt.Fprint(w, "newest snapshot\tnone yet\n")
	}
	if u := st.UnderWay; u != nil {
		fmt.Fprintf(w, "%s\tsince %s, %s, %s to or from the store\n", u.What, u.Since.UTC().Format(time.RFC3339), progress.Bytes(u.Bytes), progress.Bytes(u.Stored))
	}
	if st.Next != nil {
		fmt.Fprintf(w, "next backup\t%s\n", st.Next.UTC().Format(time.RFC3339))
	}
	if st.Failure != "" {
		fmt.Fprintf(w, "BACKUP FAILED\t%s\n", st.Failure)
	}
}
