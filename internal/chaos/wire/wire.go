// Package wire is a network of namespaces for the chaos suite: each node is a network namespace of its own,
// and the switch between them is in this process, so that every link can lose, delay, double, reorder,
// slow down, refuse or drop packets, in each direction by itself.
//
// Promise: it works on real IP packets (a TUN device a node), so the kernels' own TCP at both ends sees
// what a bad network does; it needs root and /dev/net/tun, no netem and no packet filter. Nothing of it has
// a name in the system: namespaces and devices go when the last process in them and this process do, also
// after SIGKILL. Non-promise: its delays are those of a Go process, a millisecond or two on a busy machine.
// Called by the chaos suite only.
package wire

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// A Rule is what happens to packets on one link in one direction; the zero value lets them pass.
type Rule struct {
	Drop    bool
	Reject  bool          // TCP gets a reset, as from a firewall that rejects
	Delay   time.Duration // of each packet
	Jitter  time.Duration // up to this much more, which does not reorder
	Loss    float64       // part of the packets, 0 to 1
	Double  float64       // part that arrives twice
	Reorder float64       // part that later ones overtake
	Bits    int           // a second; 0: no limit
}

// backlog bounds what a slow link holds, as a router's buffer does.
const backlog = 2 * time.Second

type direction struct{ from, to *Node }

// A Net is the switch.
type Net struct {
	mu    sync.Mutex
	nodes map[netip.Addr]*Node
	rules map[direction]Rule
	free  map[direction]time.Time // when a slow link has sent what it holds
	last  map[direction]time.Time // latest arrival: jitter keeps the order
	rand  *rand.Rand
	stats Stats

	later *later
	join  sync.WaitGroup
}

// Stats count packets.
type Stats struct{ Passed, Dropped, Rejected, Delayed, Doubled, Reordered int }

// New makes a switch; its chances are drawn from the seed.
func New(seed uint64) *Net {
	n := &Net{nodes: map[netip.Addr]*Node{}, rules: map[direction]Rule{}, free: map[direction]time.Time{},
		last: map[direction]time.Time{}, rand: rand.New(rand.NewPCG(seed, 1)), later: newLater()}
	n.join.Add(1)
	go func() {
		defer n.join.Done()
		n.later.run()
	}()
	return n
}

// Set puts a rule on the link from one node to another.
func (n *Net) Set(from, to *Node, r Rule) {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := direction{from, to}
	delete(n.free, d)
	delete(n.last, d)
	if r == (Rule{}) {
		delete(n.rules, d)
		return
	}
	n.rules[d] = r
}

// Both puts a rule on both directions.
func (n *Net) Both(a, b *Node, r Rule) { n.Set(a, b, r); n.Set(b, a, r) }

// Stats tells what was done so far.
func (n *Net) Stats() Stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stats
}

// Close takes the nodes away. Processes that were started in one are killed by the kernel.
func (n *Net) Close() error {
	n.mu.Lock()
	var nodes []*Node
	for _, node := range n.nodes {
		nodes = append(nodes, node)
	}
	n.mu.Unlock()
	var errs []error
	for _, node := range nodes {
		errs = append(errs, node.close())
	}
	n.later.close()
	n.join.Wait()
	return errors.Join(errs...)
}

// carry reads a node's packets until its device is closed.
func (n *Net) carry(from *Node) {
	buf := make([]byte, 1<<16)
	for {
		size, err := from.tun.Read(buf)
		if err != nil {
			return
		}
		n.forward(from, buf[:size])
	}
}

func (n *Net) forward(from *Node, packet []byte) {
	dst, ok := destination(packet)
	if !ok {
		return
	}
	n.mu.Lock()
	to := n.nodes[dst]
	if to == nil {
		n.stats.Dropped++
		n.mu.Unlock()
		return
	}
	copies := n.decide(direction{from, to}, packet)
	n.mu.Unlock()
	for _, c := range copies {
		if c.at.IsZero() {
			c.to.deliver(c.packet)
			continue
		}
		c.packet = append([]byte(nil), c.packet...) // the buffer is read into again
		n.later.add(c)
	}
}

// decide applies the link's rule: what is to be delivered, where and when. Under the lock.
func (n *Net) decide(d direction, packet []byte) []parcel {
	r, ruled := n.rules[d]
	switch {
	case !ruled:
		n.stats.Passed++
		return []parcel{{to: d.to, packet: packet}}
	case r.Reject:
		n.stats.Rejected++
		if answer := reset(packet); answer != nil {
			return []parcel{{to: d.from, packet: answer}}
		}
		return nil
	case r.Drop || n.rand.Float64() < r.Loss:
		n.stats.Dropped++
		return nil
	}
	at, ok := n.arrival(d, r, len(packet))
	if !ok {
		n.stats.Dropped++
		return nil
	}
	n.stats.Passed++
	parcels := []parcel{{to: d.to, packet: packet, at: at}}
	if n.rand.Float64() < r.Double {
		n.stats.Doubled++
		parcels = append(parcels, parcels[0])
	}
	return parcels
}

// arrival is when a packet comes out of the link; zero is at once. Under the lock.
func (n *Net) arrival(d direction, r Rule, size int) (time.Time, bool) {
	if r.Delay == 0 && r.Jitter == 0 && r.Bits == 0 && r.Reorder == 0 {
		return time.Time{}, true
	}
	now := time.Now()
	at := now
	if r.Bits > 0 {
		at = latest(now, n.free[d]).Add(time.Duration(size) * 8 * time.Second / time.Duration(r.Bits))
		if at.Sub(now) > backlog {
			return time.Time{}, false
		}
		n.free[d] = at
	}
	at = at.Add(r.Delay)
	if r.Jitter > 0 {
		at = at.Add(time.Duration(n.rand.Int64N(int64(r.Jitter))))
	}
	n.stats.Delayed++
	if n.rand.Float64() < r.Reorder {
		n.stats.Reordered++
		return at.Add(overtaken), true
	}
	at = latest(at, n.last[d])
	n.last[d] = at
	return at, true
}

// overtaken is how long a reordered packet waits for those behind it.
const overtaken = 30 * time.Millisecond

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Address gives the nth address of the network, 1 to 250.
func Address(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 77, 0, byte(n)}) }

func (n *Net) String() string {
	return fmt.Sprintf("%d nodes, user-space switch on TUN devices", len(n.nodes))
}
