package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/internal/store"
)

func storeCommand() *cli.Command {
	return &cli.Command{
		Name: "store", Usage: "make a snapshot store, or check one",
		Subcommands: []*cli.Command{
			{
				Name: "init", Usage: "make an empty directory or prefix of a bucket a repository; the directory or bucket itself must exist",
				Flags: append(storeFlags(append(lockFlags(), named{key: "lock.url", flag: "lock"})...), jsonFlag(), unfencedFlag(),
					&cli.StringSliceFlag{Name: "recipient", Usage: "encrypt for this age recipient, age1…; may be given again"}),
				Action: storeInit,
			},
			{
				Name: "doctor", Usage: "check a store: rights, conditional writes, clock, repository, leftovers; one line each with the way out",
				Flags: append(storeFlags(), jsonFlag(), unfencedFlag()), Action: storeDoctor,
			},
		},
	}
}

// unfencedFlag is not recorded anywhere: the store may be another one tomorrow.
func unfencedFlag() cli.Flag {
	return &cli.BoolFlag{Name: "allow-unfenced", DisableDefaultText: true,
		Usage: "take a store that ignores conditional writes: two writers at once may then lose each other's snapshots, and a holder that was overtaken may publish"}
}

// initView is `store init --json`.
type initView struct {
	Store      string         `json:"store"`
	Repository string         `json:"repository"`
	Scope      snapshot.Scope `json:"scope,omitzero"`
	Recipients []string       `json:"recipients,omitempty"`
	Fenced     bool           `json:"fenced"` // the store honours conditional writes
}

func storeInit(c *cli.Context) error {
	if err := plain(c); err != nil {
		return err
	}
	return withStore(c, func(ctx context.Context, d *depot) error {
		fenced, err := d.probe(ctx, c.Bool("allow-unfenced"))
		if err != nil {
			return err
		}
		var scope snapshot.Scope
		if d.cfg.Lock.URL != "" {
			scope = snapshotScope(d.cfg.Lock.URL)
		}
		d.repo, err = d.makeRepository(ctx, scope, c.StringSlice("recipient"))
		if errors.Is(err, store.ErrExists) {
			return exit.Withf(exit.Config, "store %s: there is a repository already, and it was not changed: %w", d.cfg.Store.URL, err)
		}
		if err != nil {
			return err
		}
		return printInit(c, d, fenced)
	})
}

func (d *depot) makeRepository(ctx context.Context, scope snapshot.Scope, recipients []string) (*snapshot.Repository, error) {
	if len(recipients) == 0 {
		return snapshot.Init(ctx, d.store, scope, time.Now)
	}
	if _, err := snapshot.ParseRecipients(recipients); err != nil {
		return nil, exit.Withf(exit.Usage, "--recipient: %w", err)
	}
	return snapshot.InitEncrypted(ctx, d.store, scope, recipients, time.Now)
}

// probe looks whether the store has one winner of a race before anything is trusted to it.
func (d *depot) probe(ctx context.Context, unfenced bool) (fenced bool, err error) {
	err = store.Probe(ctx, d.store)
	if !errors.Is(err, store.ErrUnfenced) {
		return err == nil, err
	}
	if unfenced {
		d.log.Warn("the store ignores conditional writes: nothing keeps two writers apart", "store", d.cfg.Store.URL, "cause", err)
		return false, nil
	}
	return false, exit.Withf(exit.Config, "store %s: %w: use a server and a way to it that honour If-None-Match, or say --allow-unfenced", d.cfg.Store.URL, err)
}

func printInit(c *cli.Context, d *depot, fenced bool) error {
	v := initView{Store: d.cfg.Store.URL, Repository: d.repo.ID, Scope: d.repo.Scope, Recipients: d.repo.Recipients, Fenced: fenced}
	if c.Bool("json") {
		return writeJSON(c, v)
	}
	text := fmt.Sprintf("%s: repository %s", v.Store, v.Repository)
	if v.Scope != (snapshot.Scope{}) {
		text += fmt.Sprintf(", of the %s lock %s", v.Scope.Kind, v.Scope.Lock)
	}
	if n := len(v.Recipients); n > 0 {
		text += fmt.Sprintf(", encrypted for %d recipients", n)
	}
	_, err := fmt.Fprintln(c.App.Writer, text)
	return err
}
