package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/mountcheck"
)

// mountView is a finding as --json shows it.
type mountView struct {
	Time    *time.Time `json:"time,omitempty"`
	Path    string     `json:"path"`
	Finding string     `json:"finding"`
	Policy  string     `json:"policy,omitempty"`
	Detail  string     `json:"detail,omitempty"`
	Do      string     `json:"do,omitempty"`
	Seconds float64    `json:"probe_seconds,omitempty"`
}

func mountViewOf(f mountcheck.Finding) mountView {
	return mountView{Path: f.Path, Finding: string(f.Kind), Policy: string(f.Policy), Detail: f.Detail, Do: f.Do, Seconds: f.Took.Seconds()}
}

func mountWatch(c *cli.Context) error {
	mounts, err := mountsOf(c)
	if err != nil {
		return err
	}
	return interruptible(c.Context, func(ctx context.Context) error {
		w, err := mountcheck.Watch(ctx, mounts)
		if err != nil {
			return exit.With(exit.Mount, err)
		}
		err = printFindings(ctx, w, c.App.Writer, c.Bool("json"), c.Bool("until-bad"))
		if left := w.Close(); left != nil {
			fmt.Fprintf(c.App.ErrWriter, "interlock: %v\n", left)
		}
		return err
	})
}

// printFindings prints each change until the context ends, or, if asked, until one that would end a run.
func printFindings(ctx context.Context, w *mountcheck.Watcher, out io.Writer, asJSON, untilBad bool) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case f, open := <-w.Findings():
			if !open {
				return nil
			}
			if err := tell(out, f, asJSON); err != nil {
				return err
			}
			if untilBad && f.Fatal() {
				return exit.Withf(exit.MountLost, "mount %s: %s: %s", f.Path, f.Kind, f.Detail)
			}
		}
	}
}

func tell(out io.Writer, f mountcheck.Finding, asJSON bool) error {
	now := time.Now()
	if asJSON {
		v := mountViewOf(f)
		v.Time = &now
		return json.NewEncoder(out).Encode(v)
	}
	_, err := fmt.Fprintf(out, "%s %s %s %s %s\n", now.Format(time.RFC3339Nano), f.Path, f.Kind, policyText(f), f.Detail)
	return err
}
