// Command puller restores as the store worker would: the tests kill it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/internal/store/dir"
	"github.com/interlock-run/interlock/restore"
	"github.com/interlock-run/interlock/restore/pull"
)

// An order is what stdin says.
type order struct {
	Store, Data, State string
	Token              fence.Token
	Settings           pull.Settings
	Load               []string
	Verify             bool
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var o order
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		return err
	}
	ctx := context.Background()
	st, err := dir.Open(o.Store)
	if err != nil {
		return err
	}
	repo, err := snapshot.Open(ctx, st, time.Now)
	if err != nil {
		return err
	}
	f := pull.Found{Repository: repo.ID}
	f.Catalog, f.Err = repo.Claim(ctx, snapshot.Holder{Token: o.Token, Scope: snapshot.Scope{Lock: "db", Kind: "file"}})
	t := restore.Target{Data: o.Data, StateDir: o.State, Token: o.Token, Holder: "puller"}
	c := pull.Choose(restore.Inspect(o.Data, o.State, o.Token), f, o.Settings)
	if err := c.Err(); err != nil {
		return err
	}
	if c.Restores() {
		j := pull.Job{Repo: repo, Target: t, Choice: c, Verify: o.Verify}
		if len(o.Load) > 0 {
			j.Load = []pull.Command{{Argv: o.Load, Env: os.Environ()}}
		}
		r, err := pull.Run(ctx, j)
		if err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			return err
		}
	}
	if err := restore.StartTenure(t); err != nil {
		return err
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(status)
	return err
}
