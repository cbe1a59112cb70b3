package fault

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/chaos/field"
	"github.com/interlock-run/interlock/internal/chaos/wire"
)

// choice picks servers.
type choice func(context.Context, *Env) ([]*field.Server, error)

func servers() []Fault {
	var all []Fault
	for _, c := range []struct {
		name   string
		choose choice
	}{{"one", anyServer}, {"first", first}, {"follower", follower}, {"majority", majority}} {
		all = append(all,
			Fault{Name: "server-stop-" + c.name, Class: Other, Weight: 1, Min: 100 * ms, Max: 5000 * ms, Inject: onServers(c.choose, pauseServer)},
			Fault{Name: "server-kill-" + c.name, Class: Other, Weight: 1, Min: 100 * ms, Max: 4000 * ms, Inject: onServers(c.choose, killServer)},
			Fault{Name: "server-peers-cut-" + c.name, Class: Other, Weight: 1, Min: 200 * ms, Max: 5000 * ms, Inject: onServers(c.choose, cutFromPeers)},
			Fault{Name: "server-clients-cut-" + c.name, Class: Other, Weight: 1, Min: 200 * ms, Max: 5000 * ms, Inject: onServers(c.choose, cutFromClients)})
	}
	return append(all,
		Fault{Name: "server-rolling-restart", Class: Other, Weight: 1, Inject: rolling},
		Fault{Name: "server-move", Class: Other, Weight: 1, Min: 4000 * ms, Max: 6500 * ms, Fits: isEtcd, Inject: moving})
}

func anyServer(_ context.Context, e *Env) ([]*field.Server, error) {
	return []*field.Server{e.Field.Servers[e.Rand.IntN(len(e.Field.Servers))]}, nil
}

// first is the server that leads; any, while none does.
func first(ctx context.Context, e *Env) ([]*field.Server, error) {
	i, err := e.Field.Service.Leader(ctx)
	if err != nil {
		return anyServer(ctx, e)
	}
	return e.Field.Servers[i : i+1], nil
}

func follower(ctx context.Context, e *Env) ([]*field.Server, error) {
	i, err := e.Field.Service.Leader(ctx)
	if err != nil {
		return anyServer(ctx, e)
	}
	n := len(e.Field.Servers)
	k := (i + 1 + e.Rand.IntN(n-1)) % n
	return e.Field.Servers[k : k+1], nil
}

func majority(_ context.Context, e *Env) ([]*field.Server, error) {
	all := append([]*field.Server(nil), e.Field.Servers...)
	e.Rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:len(all)/2+1], nil
}

// onServers does one thing to each that is chosen; all are healed, also after an error.
func onServers(c choice, do func(context.Context, *Env, *field.Server) (Heal, error)) func(context.Context, *Env) (Heal, error) {
	return func(ctx context.Context, e *Env) (Heal, error) {
		chosen, err := c(ctx, e)
		if err != nil {
			return nil, err
		}
		var heals []Heal
		var errs []error
		for _, s := range chosen {
			h, err := do(ctx, e, s)
			heals, errs = append(heals, h), append(errs, err)
		}
		return func(ctx context.Context) error {
			var errs []error
			for _, h := range heals {
				errs = append(errs, h(ctx))
			}
			return errors.Join(errs...)
		}, errors.Join(errs...)
	}
}

func pauseServer(_ context.Context, _ *Env, s *field.Server) (Heal, error) {
	return func(context.Context) error { return s.Signal(unix.SIGCONT) }, s.Signal(unix.SIGSTOP)
}

func killServer(_ context.Context, _ *Env, s *field.Server) (Heal, error) {
	return func(context.Context) error { return s.Start() }, s.Kill()
}

func cutFromPeers(_ context.Context, e *Env, s *field.Server) (Heal, error) {
	links := func(r wire.Rule) {
		for _, other := range e.Field.Servers {
			if other != s {
				e.Field.Net.Both(s.Node, other.Node, r)
			}
		}
	}
	links(wire.Rule{Drop: true})
	return func(context.Context) error { links(wire.Rule{}); return nil }, nil
}

func cutFromClients(_ context.Context, e *Env, s *field.Server) (Heal, error) {
	links := func(r wire.Rule) {
		for _, c := range e.Field.Contenders {
			e.Field.Net.Both(s.Node, c.Node, r)
		}
	}
	links(wire.Rule{Drop: true})
	return func(context.Context) error { links(wire.Rule{}); return nil }, nil
}

// rolling restarts one after the other, as an upgrade does: each answers before the next is stopped.
func rolling(ctx context.Context, e *Env) (Heal, error) {
	for _, s := range e.Field.Servers {
		if err := errors.Join(s.Stop(), s.Start()); err != nil {
			return nil, err
		}
		limited, cancel := context.WithTimeout(ctx, 20*time.Second)
		err := s.Await(limited) // beside another fault it may not come: then the next is stopped all the same
		cancel()
		if err != nil {
			e.Field.Log.Info("rolling restart goes on without an answer", "server", s.Name, "err", err)
		}
	}
	return nil, nil
}

// moving moves the lead every 2 s until it is healed. A move that the service refuses is tried again.
func moving(ctx context.Context, e *Env) (Heal, error) {
	etcd := e.Field.Service.(*field.Etcd)
	ctx, cancel := context.WithCancel(ctx)
	to := e.Rand.IntN(len(e.Field.Servers))
	var join sync.WaitGroup
	join.Add(1)
	go func() {
		defer join.Done()
		for ; ctx.Err() == nil; to = (to + 1) % len(e.Field.Servers) {
			if err := etcd.MoveLeader(ctx, to); err != nil && ctx.Err() == nil {
				e.Field.Log.Debug("the lead did not move", "err", err)
			}
			wait(ctx, 2*time.Second)
		}
	}()
	return func(context.Context) error { cancel(); join.Wait(); return nil }, nil
}
