package zk

import (
	"context"
	"math/rand/v2"
	"net"
	"slices"
	"time"
)

// A target is one address of one server.
type target struct {
	host host
	addr string // host:port; the address if the name resolved
	err  error  // why the name did not resolve
}

// A ring goes round the servers for ever. Names are resolved anew for each round, so that servers may
// change their addresses; the order is shuffled, with the one that was tried last at the end.
type ring struct {
	hosts []host
	known map[host][]string // addresses of the last look-up that worked: a name service that is down costs no lock
	left  []target
	last  string
	stay  bool // begin the next round with the last one
}

// restart begins a new round, with the server that was just lost at its end.
func (r *ring) restart() { r.left = nil }

// again begins a new round with the server that we were just connected to.
func (r *ring) again() { r.left, r.stay = nil, true }

// next returns the next address to try and whether it is the last one of its round. bound limits the
// look-up of all names together.
func (r *ring) next(ctx context.Context, bound time.Duration) (target, bool) {
	if len(r.left) == 0 {
		ctx, cancel := context.WithTimeout(ctx, bound)
		defer cancel()
		r.left = r.resolve(ctx)
	}
	t := r.left[0]
	r.left = r.left[1:]
	r.last = t.addr
	return t, len(r.left) == 0
}

func (r *ring) resolve(ctx context.Context) []target {
	if r.known == nil {
		r.known = map[host][]string{}
	}
	var all []target
	for _, h := range r.hosts {
		addrs, err := net.DefaultResolver.LookupHost(ctx, h.name)
		if err == nil {
			r.known[h] = addrs
		} else if len(r.known[h]) == 0 {
			all = append(all, target{host: h, addr: h.String(), err: err})
		}
		for _, a := range r.known[h] {
			all = append(all, target{host: h, addr: net.JoinHostPort(a, h.port)})
		}
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	i := slices.IndexFunc(all, func(t target) bool { return t.addr == r.last })
	if i < 0 {
		return all
	}
	t := all[i]
	all = slices.Delete(all, i, i+1)
	if r.stay {
		r.stay = false
		return slices.Insert(all, 0, t)
	}
	return append(all, t)
}
