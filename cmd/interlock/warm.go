package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/courier"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/warm/job"
	"github.com/interlock-run/interlock/warm/ring"
)

func warmCommand() *cli.Command {
	return &cli.Command{
		Name: "warm", Usage: "dump a cache into a store, and fill a fresh one from there",
		Before: func(*cli.Context) error { job.BoundHeap(); return nil },
		Subcommands: []*cli.Command{
			{
				Name: "dump", Usage: "publish the content of a memcached as a snapshot, without disturbing its clients",
				Flags: append(writerFlags(warmKeys("schedule", "from", "ready", "if_cold", "exec", "order", "ring.kind", "ring.nodes", "ring.stores")...), jsonFlag(),
					&cli.StringFlag{Name: "scratch", Usage: "local `DIR` for the dump until it is published (default: a cache directory)"}),
				Action: warmDump,
			},
			{
				Name: "load", Usage: "fill a memcached with the newest dump, or with its share of the dumps of all nodes",
				Flags: append(lockedFlags(warmKeys("schedule", "keep", "ready", "if_cold", "exec", "listing")...), jsonFlag(),
					&cli.StringFlag{Name: "scratch", Usage: "local `DIR` for how far the load is, so that one that was killed is gone on with (default: a cache directory)"},
					&cli.BoolFlag{Name: "in-use", Usage: "clients use it already: stop at the first delete, which the load could undo", DisableDefaultText: true}),
				Action: warmLoad,
			},
			{
				Name: "show", Usage: "what a dump holds: items, bytes, how hot they are, when they expire",
				Flags: append(storeFlags(showKeys("schedule", "keep", "ready", "if_cold", "exec", "listing", "order", "user", "password_file", "tls.ca", "tls.cert", "tls.key", "tls.name",
					"budget.time", "budget.bytes", "budget.rate", "ring.kind", "ring.nodes", "ring.self", "ring.stores")...), jsonFlag(),
					&cli.BoolFlag{Name: "expiry", Usage: "read all items, and tell how many are still alive when", DisableDefaultText: true}),
				Action: warmShow,
			},
			{
				Name: "ring", Usage: "which node the clients put a key on",
				Subcommands: []*cli.Command{{
					Name: "verify", Usage: "compare each rule with the keys that the nodes hold: those of live servers, and for the others those of their dumps",
					Flags: append(storeFlags(ringKeys()...), jsonFlag(),
						&cli.StringFlag{Name: "scratch", Usage: "local `DIR` for the lists of keys (default: a cache directory)"}),
					Action: warmRing,
				}},
			},
		},
	}
}

// warmKeys are the keys of a cache by their names below warm, without some.
func warmKeys(without ...string) (all []named) {
	for _, f := range config.Fields() {
		name, is := strings.CutPrefix(f.Key, "warm.")
		if !is || name == "also" || slices.Contains(without, name) { // a verb works on one
			continue
		}
		n := named{key: f.Key, flag: strings.TrimPrefix(f.Flag, "warm-")}
		switch name {
		case "from":
			n.flag = "at"
		case "ring.kind":
			n.flag = "ring"
		case "ring.nodes":
			n.flag, n.each = "node", true
		case "ring.self":
			n.flag = "self"
		case "ring.stores":
			n.flag, n.each = "other-store", true
		}
		all = append(all, n)
	}
	return all
}

// showKeys are warmKeys for the verb that does not talk to the server.
func showKeys(without ...string) []named {
	all := warmKeys(without...)
	for n := range all {
		if all[n].key == "warm.memcached" {
			all[n].help = "only dumps of this server: its address as it was dumped"
		}
	}
	return all
}

// ringKeys are those of the verb that asks several servers.
func ringKeys() []named {
	all := warmKeys("schedule", "keep", "ready", "if_cold", "exec", "order", "ring.self", "budget.time", "budget.bytes", "budget.rate")
	for n := range all {
		if all[n].key == "warm.memcached" {
			all[n].many, all[n].help = true, "a live node: its address, or NODE=ADDRESS where it stands otherwise in the clients' list; its keys are listed; may be given again"
		}
	}
	return all
}

func checkRing(kind string) error {
	if kind == config.RingAuto || slices.Contains(ring.Rules(), ring.Rule(kind)) {
		return nil
	}
	var names []string
	for _, r := range ring.Rules() {
		names = append(names, string(r))
	}
	return fmt.Errorf("found %q: expected auto or one of %s", kind, strings.Join(names, ", "))
}

// withSources opens the store of our own dumps and those of the other nodes.
func withSources(c *cli.Context, do func(context.Context, *depot, []job.Source) error) error {
	return withDepot(c, func(ctx context.Context, d *depot) (err error) {
		sources := []job.Source{{Name: d.cfg.Store.URL, Repository: d.repo}}
		for _, url := range d.cfg.Warm.Ring.Stores {
			other := &depot{cfg: d.cfg, log: d.log}
			other.cfg.Store.URL = url
			if other.store, err = openStore(other.cfg.Store); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, other.store.Close()) }()
			if other.repo, err = snapshot.Open(ctx, other.store, d.now); err == nil {
				err = other.unlock()
			}
			if err != nil {
				return storeError(url, err)
			}
			sources = append(sources, job.Source{Name: url, Repository: other.repo})
		}
		return do(ctx, d, sources)
	})
}

// at is which dumps to take: the beginning of an ID becomes the whole.
func (d *depot) at(ctx context.Context, sources []job.Source) (string, error) {
	at := d.cfg.Warm.From
	if at == config.FromNone {
		return "", exit.Withf(exit.Config, "--at none: expected latest, an ID or a time")
	}
	var missing error
	for _, s := range sources {
		cat, err := s.Repository.Catalog(ctx)
		if err != nil {
			return "", storeError(s.Name, err)
		}
		id, err := expand(&cat, at)
		if err == nil {
			return id, nil
		}
		missing = err
	}
	return "", missing
}

// warmScratch is where what is dumped lies until it is published.
func (d *depot) warmScratch(given string) (string, error) {
	if given != "" {
		return filepath.Abs(given)
	}
	folder, err := warmFolder()
	if err != nil {
		err = exit.With(exit.Config, fmt.Errorf("%w: name one with --scratch", err))
	}
	return folder, err
}

// warmFolder is a folder on a local disk, ours alone.
func warmFolder() (string, error) {
	var tried error
	for _, ours := range cacheDirs() {
		err := ownDir(ours)
		if err == nil {
			dir := filepath.Join(ours, "warm")
			if err = os.MkdirAll(dir, 0o700); err == nil {
				return dir, nil
			}
		}
		tried = errors.Join(tried, err)
	}
	return "", exit.Withf(exit.Config, "no place for a dump until it is published: %s", oneLine(tried))
}

// warmError gives what the packages below warm say its exit code.
func warmError(err error) error { return courier.CacheError(err) }
