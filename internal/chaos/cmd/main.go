// Command cmd is `make chaos`: it breaks three-node lock services and their contenders, and judges whether
// two holders ever overlapped.
//
// Promise: exit 0 says that no rule was broken and that somebody always ran again, 1 that one was, 2 that
// the harness failed; the seed is printed and gives the same faults again. Non-promise: the same
// interleaving. It needs root, and leaves nothing behind. Called by make and by hand.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/chaos/field"
	"github.com/interlock-run/interlock/internal/chaos/suite"
	"github.com/interlock-run/interlock/internal/testkit"
)

type flags struct {
	backends, interlock, etcd, faults, dir string
	seed                                   uint64
	n                                      int
	timing                                 string
	bend                                   bool
}

func main() {
	var o flags
	flag.StringVar(&o.backends, "backend", "etcd,zk", "`LIST` of etcd, etcd-auth, etcd-current, zk: a field each, side by side")
	flag.StringVar(&o.interlock, "interlock", "bin/interlock", "`BINARY` under test")
	flag.StringVar(&o.etcd, "etcd", "", "etcd server `BINARY` for the backend etcd; that on PATH otherwise")
	flag.StringVar(&o.faults, "faults", "", "`LIST` of faults to draw from; all when empty")
	flag.StringVar(&o.dir, "dir", "", "`DIRECTORY` for logs; a temporary one, removed after success, otherwise")
	flag.Uint64Var(&o.seed, "seed", 0, "first seed; drawn from the clock and printed when 0")
	flag.IntVar(&o.n, "n", 20, "faults, one after the other, on each backend")
	flag.StringVar(&o.timing, "timing", "quick", "`NAME`: quick (hold 2 s), default (the product's own), tight (for binaries that are broken on purpose)")
	flag.BoolVar(&o.bend, "bend", false, "bend the clocks of each start, and draw jumps; it takes a binary built with -tags mutate")
	flag.Parse()
	red, err := run(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(2)
	}
	if red {
		os.Exit(1)
	}
}

func run(o flags) (red bool, err error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return false, fmt.Errorf("cannot become a subreaper: %w", err)
	}
	if o.interlock, err = filepath.Abs(o.interlock); err != nil {
		return false, err
	}
	if o.bend {
		if err := field.Bends(o.interlock); err != nil {
			return false, err
		}
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	if o.seed == 0 {
		o.seed = uint64(time.Now().Unix()) * 1000
	}
	dir, temporary, err := place(o.dir)
	if err != nil {
		return false, err
	}
	payload := filepath.Join(dir, "payload")
	if err := build(ctx, payload); err != nil {
		return false, err
	}
	current := ""
	if slices.Contains(split(o.backends), field.EtcdCurrent) {
		if current, err = currentEtcd(ctx); err != nil {
			return false, err
		}
	}
	fmt.Printf("chaos: seed %d, n %d, backends %s, logs in %s\n", o.seed, o.n, o.backends, dir)
	red, err = fields(ctx, o, dir, payload, current)
	err = errors.Join(err, testkit.EndLeftProcesses())
	if temporary && !red && err == nil {
		return red, os.RemoveAll(dir)
	}
	return red, err
}

func place(given string) (dir string, temporary bool, err error) {
	if given != "" {
		return given, false, os.MkdirAll(given, 0o755)
	}
	dir, err = os.MkdirTemp("", "chaos")
	return dir, true, err
}

// fields runs one for each backend, side by side.
func fields(ctx context.Context, o flags, dir, payload, current string) (red bool, err error) {
	family := field.NewFamily()
	backends := split(o.backends)
	results, errs := make([]suite.Result, len(backends)), make([]error, len(backends))
	var join sync.WaitGroup
	for i, b := range backends {
		join.Add(1)
		go func() {
			defer join.Done()
			o := o
			if b == field.EtcdCurrent {
				o.etcd = current
			}
			results[i], errs[i] = one(ctx, o, b, filepath.Join(dir, fmt.Sprintf("%s-%d", b, i)), payload, family)
		}()
	}
	join.Wait()
	for i := range results {
		err = errors.Join(err, errs[i], results[i].Print(os.Stdout))
		red = red || results[i].Red()
	}
	return red, err
}

func one(ctx context.Context, o flags, backend, dir, payload string, family *field.Family) (suite.Result, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return suite.Result{}, err
	}
	timing, ok := map[string]field.Timing{"quick": field.Quick(), "default": field.Default(), "tight": field.Tight()}[o.timing]
	if !ok {
		return suite.Result{}, fmt.Errorf("timing %q: expected quick, default or tight", o.timing)
	}
	return suite.Run(ctx, suite.Options{From: o.seed, N: o.n, Faults: split(o.faults), Say: os.Stdout, Field: field.Options{
		Backend: backend, Interlock: o.interlock, Payload: payload, Etcd: o.etcd, Dir: dir, Timing: timing, Family: family, Bend: o.bend,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}})
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}
