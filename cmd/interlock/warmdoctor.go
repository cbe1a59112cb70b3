package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/courier"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/progress"
	"github.com/interlock-run/interlock/warm/dump"
	"github.com/interlock-run/interlock/warm/memcached"
)

// cacheNow looks at the memcacheds that are dumped and loaded.
func cacheNow(ctx context.Context, cfg config.Config) (all []checkup) {
	for _, one := range cfg.Warm.Instances() {
		cfg.Warm = one
		all = append(all, oneCache(ctx, cfg)...)
	}
	return all
}

func oneCache(ctx context.Context, cfg config.Config) []checkup {
	w := cfg.Warm
	server, err := courier.CacheServer(w)
	if err != nil {
		return []checkup{{Level: "fail", Topic: "memcached", What: oneLine(err), Do: "correct warm.memcached, or what it is reached with", code: exit.Code(err)}}
	}
	ctx, cancel := context.WithTimeout(ctx, doctorBudget)
	defer cancel()
	c, err := memcached.Dial(ctx, server, memcached.Options{Timeout: greetTime})
	if err != nil {
		return []checkup{unmet(err)}
	}
	defer c.Close()
	all := []checkup{versionNow(c.Version(), w)}
	s, err := c.Settings()
	if err != nil {
		return append(all, unmet(err))
	}
	st, err := c.State()
	if err != nil {
		return append(all, unmet(err))
	}
	return append(all, settingsNow(s, st, cfg)...)
}

// unmet is what is wrong with the way to a memcached. One that is the payload has not been started yet.
func unmet(err error) checkup {
	l := checkup{Level: "fail", Topic: "memcached", What: oneLine(err), code: exit.Code(courier.CacheError(err))}
	switch {
	case errors.Is(err, memcached.ErrBinaryOnly):
		l.Do = "start it with ASCII authentication (-Y FILE), not with SASL"
	case errors.Is(err, memcached.ErrAuth):
		l.Do = "see warm.user and warm.password_file"
	case errors.Is(err, memcached.ErrTLS):
		l.Do = "see warm.tls"
	case errors.Is(err, memcached.ErrLost):
		l.Level, l.Do = "warn", "nothing to do if the run starts it; else check the way to it"
	}
	return l
}

func versionNow(v memcached.Version, w config.Warm) checkup {
	listing, warning, err := dump.Choose(v, dump.Listing(w.Listing), true)
	if err != nil {
		return checkup{Level: "fail", Topic: "memcached", What: oneLine(err), Do: "upgrade it", code: exit.Config}
	}
	l := checkup{Level: "ok", Topic: "memcached", What: fmt.Sprintf("%s, version %s: keys are listed by %s", w.Memcached, v, listing)}
	switch {
	case warning != "":
		l.Level, l.What, l.Do = "warn", warning, "upgrade to 1.6.44 or later"
	case v.Before(1, 6, 44) && listing == dump.Hash:
		l.What += "; a reader of the list that stalls makes its clients wait, for a second at most: it is killed then"
	}
	return l
}

func settingsNow(s memcached.Settings, st memcached.State, cfg config.Config) []checkup {
	room := checkup{Level: "ok", Topic: "memcached", What: fmt.Sprintf("%s of memory, %s in use by %d items; values up to %s",
		progress.Bytes(s.MaxBytes), progress.Bytes(st.Bytes), st.Items, progress.Bytes(s.ItemSizeMax))}
	if !s.Evicts {
		room.What += "; it evicts nothing (-M): a load ends when the memory is full"
	}
	all := []checkup{room}
	if !s.Dumping || !s.Crawler {
		l := checkup{Level: "warn", Topic: "memcached", What: "it lists no keys (-X, or the crawler is off): it can be loaded, and not dumped", Do: "start it without -X and -o no_lru_crawler", code: exit.Config}
		if cfg.Warm.Schedule != "" {
			l.Level = "fail"
		}
		all = append(all, l)
	}
	if !s.CAS {
		all = append(all, checkup{Level: "warn", Topic: "memcached", What: "it has no CAS (-C): recache tokens of stale items that a dump takes cannot be given back", Do: "start it without -C where clients use stale items"})
	}
	return append(all, memoryFileNow(s.MemoryFile, cfg.Process.Stop.Signal)...)
}

// memoryFileNow tells whether its own warm restart will work.
func memoryFileNow(file, signal string) []checkup {
	l := checkup{Level: "ok", Topic: "memcached", What: "its content outlives a restart in " + file + ": dumps are for when that fails"}
	switch {
	case file == "":
		return nil
	case signal != "USR1" && signal != "SIGUSR1" && signal != "TERM" && signal != "SIGTERM": // TERM becomes USR1
		l.Level, l.Do = "warn", "set stop.signal: USR1"
		l.What = fmt.Sprintf("its content would outlive a restart in %s, were it not stopped by %s", file, signal)
	}
	return []checkup{l}
}
