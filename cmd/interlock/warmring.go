package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/courier"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/warm/dump"
	"github.com/interlock-run/interlock/warm/job"
	"github.com/interlock-run/interlock/warm/ring"
)

// A liveNode is a server that is asked for its keys.
type liveNode struct{ name, address string }

// warmRing tells how well each rule explains what the nodes hold; it fails where none, or not the one that was
// named, explains enough.
func warmRing(c *cli.Context) error {
	if err := plain(c); err != nil {
		return err
	}
	live := liveNodes(c)
	if len(live) == 0 {
		return withSources(c, func(ctx context.Context, d *depot, sources []job.Source) error {
			return d.verifyRing(ctx, c, sources, nil)
		})
	}
	cfg, err := withoutDumps(c)
	if err != nil {
		return err
	}
	if cfg.Store.URL != "" {
		return withSources(c, func(ctx context.Context, d *depot, sources []job.Source) error {
			return d.verifyRing(ctx, c, sources, live)
		})
	}
	d := &depot{cfg: cfg, log: newLogger(cfg.Log, c.App.ErrWriter), environ: invocationOf(c).environ}
	return interruptible(c.Context, func(ctx context.Context) error { return d.verifyRing(ctx, c, nil, live) })
}

// withoutDumps is the configuration of a verb that may do without a store.
func withoutDumps(c *cli.Context) (config.Config, error) {
	for _, f := range c.Command.Flags {
		if s, is := f.(*setting); is && s.field.Key == "warm.from" && !s.IsSet() {
			s.texts = []string{config.FromNone}
			defer func() { s.texts = nil }()
		}
	}
	cfg, _, err := loadConfigWith(c)
	return cfg, err
}

// liveNodes are those that were given. Where no list of nodes is, they are that list, in their order.
func liveNodes(c *cli.Context) (live []liveNode) {
	var nodes *setting
	for _, f := range c.Command.Flags {
		s, is := f.(*setting)
		switch {
		case is && s.field.Key == "warm.ring.nodes":
			nodes = s
		case is && s.many:
			for _, text := range s.texts {
				name, address := nodeAddress(text)
				live = append(live, liveNode{name, address})
			}
		}
	}
	elsewhere := slices.ContainsFunc([]string{config.FileField().Variable(), nodes.field.Variable()}, func(name string) bool {
		return lookup(invocationOf(c).environ, name) != ""
	})
	if !nodes.IsSet() && !elsewhere && givenFlags(c)[config.FileField().Flag] == nil {
		for _, n := range live {
			nodes.texts = append(nodes.texts, n.name)
		}
	}
	return live
}

// nodeAddress reads NODE=ADDRESS, or the address that is the node's name, too.
func nodeAddress(text string) (name, address string) {
	if name, address, is := strings.Cut(text, "="); is {
		return name, address
	}
	return text, text
}

func (d *depot) verifyRing(ctx context.Context, c *cli.Context, sources []job.Source, live []liveNode) error {
	r, err := courier.CacheRing(d.cfg.Warm.Ring)
	if err != nil {
		return err
	}
	if r.Rule == "" {
		return exit.Withf(exit.Config, "--ring is missing: expected auto, or the rule to check, and --node for each node as it stands in the clients' list")
	}
	keys := map[string][][]byte{}
	if len(sources) > 0 {
		if keys, err = d.dumpedKeys(ctx, sources, len(live) > 0); err != nil {
			return err
		}
	}
	if err := d.liveKeys(ctx, c, r, live, keys); err != nil {
		return err
	}
	fits, err := r.Fits(keys)
	if err != nil {
		return warmError(err)
	}
	if c.Bool("json") {
		err = writeJSON(c, fits)
	} else {
		err = printFits(c, fits)
	}
	if err == nil {
		_, err = ring.Pick(fits, r.Nodes, keys)
		err = warmError(err)
	}
	return err
}

// dumpedKeys are some of each dump. Beside live servers there need be none.
func (d *depot) dumpedKeys(ctx context.Context, sources []job.Source, optional bool) (map[string][][]byte, error) {
	at, err := d.at(ctx, sources)
	if err != nil {
		return nil, err
	}
	held, err := job.Choose(ctx, sources, at)
	if optional && errors.Is(err, job.ErrNone) {
		return map[string][][]byte{}, nil
	}
	if err != nil {
		return nil, warmError(err)
	}
	keys, err := job.Samples(ctx, held)
	return keys, warmError(err)
}

// liveKeys asks one server after the other; what it holds counts instead of its dump.
func (d *depot) liveKeys(ctx context.Context, c *cli.Context, r job.Ring, live []liveNode, keys map[string][][]byte) error {
	if len(live) == 0 {
		return nil
	}
	scratch, err := d.warmScratch(c.String("scratch"))
	if err != nil {
		return err
	}
	for _, n := range live {
		w := d.cfg.Warm
		w.Memcached = n.address
		server, err := courier.CacheServer(w)
		if err != nil {
			return err
		}
		name, err := listed(r, n)
		if err != nil {
			return err
		}
		o := courier.DumpOptions(server, w)
		o.Scratch, o.Locks, o.Note = scratch, scratch, func(text string) { d.log.Warn(text) }
		if keys[name], err = dump.Keys(ctx, o, job.SampleKeys); err != nil {
			return warmError(err)
		}
	}
	return nil
}

// listed is a live node's name as it stands in the clients' list, which may leave the usual port out.
func listed(r job.Ring, n liveNode) (string, error) {
	var names []string
	for _, s := range r.Nodes {
		if strings.TrimSuffix(s.Name, ":11211") == strings.TrimSuffix(n.name, ":11211") {
			return s.Name, nil
		}
		names = append(names, s.Name)
	}
	return "", exit.Withf(exit.Config, "--memcached %s is none of the nodes %s: expected NODE=%s with its name in the clients' list", n.name, strings.Join(names, ", "), n.address)
}

func printFits(c *cli.Context, fits []ring.Fit) error {
	w := tabwriter.NewWriter(c.App.Writer, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "FITS\tKEYS\tRULE\tNODES\t")
	for _, f := range fits {
		fmt.Fprintf(w, "%.1f %%\t%d\t%s\t%s\t\n", f.Fraction*100, f.Keys, f.Rule, oneLineText(strings.Join(f.Nodes, " ")))
	}
	return w.Flush()
}
