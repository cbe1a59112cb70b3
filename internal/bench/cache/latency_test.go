//go:build bench

package cache

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/dump"
	"github.com/interlock-run/interlock/warm/memcached"
	"github.com/interlock-run/interlock/warm/warmtest"
)

// latency measures the clients of a server that is dumped at the default rate: 2000 reads a second. Rounds
// with and without a dump alternate.
func latency(t *testing.T, s sizes) []*row {
	t.Helper()
	little := func(ours, than, ratio float64) bool { return ratio <= 1.5 || ours-than <= 0.25 }
	p99 := &row{name: "clients' p99 while dumped : p99 before", unit: "ms", aim: "<= 1.5 or +0.25 ms", met: little}
	p50 := &row{name: "clients' p50 while dumped : p50 before", unit: "ms"}
	kit := server(t, roomy(s.items))
	loop(t, kit.Addr(), 2, stores(s.items, benchItem))
	window := time.Duration(s.seconds) * time.Second
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	for n := range s.rounds {
		quiet := clients(t, kit, s.items, window)
		busy, made := dumped(t, kit, s.items, window)
		p99.add(ms(busy.P99), ms(quiet.P99))
		p50.add(ms(busy.P50), ms(quiet.P50))
		t.Logf("round %d, clients: before p50 %v p99 %v; while dumped p50 %v p99 %v; load of the machine %s", n+1, quiet.P50, quiet.P99, busy.P50, busy.P99, load1(t))
		if made != nil {
			t.Logf("its own probe's p99 %v -> %v, slowest rate %d", made.Latency.Before.P99, made.Latency.During.P99, made.Slowest)
		}
	}
	kit.Stop(t)
	return []*row{p99, p50}
}

// dumped measures clients while a dump runs as it does by default. One that yields so much that it takes much
// longer is ended: there is no report of it then.
func dumped(t *testing.T, kit *testkit.MemcachedServer, n int, window time.Duration) (dump.Quantiles, *dump.Report) {
	t.Helper()
	o := options(t, kit)
	o.Rate = dump.DefaultRate
	ctx, cancel := context.WithTimeout(t.Context(), 2*window)
	defer cancel()
	ended := make(chan error, 1)
	var made *dump.Report
	go func() {
		var err error
		made, err = dump.Dump(ctx, o)
		ended <- err
	}()
	busy := clients(t, kit, n, window)
	if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
		must(t, err)
		return busy, made
	}
	return busy, nil
}

func clients(t *testing.T, kit *testkit.MemcachedServer, n int, d time.Duration) dump.Quantiles {
	t.Helper()
	const conns = 4
	results := make(chan []time.Duration, conns)
	for range conns {
		c, err := memcached.Dial(t.Context(), warmtest.Server(t, kit.Addr()), memcached.Options{})
		must(t, err)
		go func() {
			defer c.Close()
			results <- reader(c, n, d)
		}()
	}
	var all []time.Duration
	for range conns {
		all = append(all, <-results...)
	}
	slices.Sort(all)
	if len(all) < 100 {
		t.Fatalf("%d reads in %v", len(all), d)
	}
	return dump.Quantiles{Samples: len(all), P50: all[len(all)/2], P99: all[len(all)*99/100]}
}

func reader(c *memcached.Conn, n int, d time.Duration) (took []time.Duration) {
	beat := time.NewTicker(2 * time.Millisecond)
	defer beat.Stop()
	var r memcached.Reply
	for end := time.Now().Add(d); time.Now().Before(end); <-beat.C {
		begun := time.Now()
		if c.SendGet(benchItem(rand.IntN(n), n).Key) != nil || c.Flush() != nil || c.Read(&r) != nil {
			return nil
		}
		took = append(took, time.Since(begun))
	}
	return took
}
