package testkit

import (
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy is a TCP proxy on loopback for fault tests. What it does can be
// changed at any time and counts for open connections and new ones alike.
// Create one with NewProxy; it passes at first.
type Proxy struct {
	addr string

	mu      sync.Mutex
	target  string
	rule    rule
	changed chan struct{} // closed and replaced at every change of rule
	lis     net.Listener
	links   map[*link]bool
	stats   Traffic
	pumps   sync.WaitGroup
}

// rule is what the proxy does to bytes; the zero value passes them.
type rule struct {
	hang      bool
	keep      bool // replies are kept back
	delay     time.Duration
	lose      [2]bool // by direction
	afterLeft int64   // reply bytes to let by before lose[toClient] begins
	after     bool
	cutReply  bool // lose the next reply bytes and close their connection
}

// Traffic counts what went through since the start.
type Traffic struct {
	Conns             int   // accepted
	Requests, Replies int64 // bytes forwarded to the server, to the client
	Lost              int64 // bytes read and thrown away
}

const (
	toServer = 0
	toClient = 1
)

// NewProxy listens on a free port for connections to target; everything ends
// with the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	lis, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	p := &Proxy{addr: lis.Addr().String(), target: target, changed: make(chan struct{}), links: map[*link]bool{}}
	p.serve(lis)
	t.Cleanup(p.close)
	return p
}

// Addr is host:port for clients.
func (p *Proxy) Addr() string { return p.addr }

// Pass forwards again, and listens again after Refuse. Bytes that were held
// by Hang arrive now, bytes that were lost do not.
func (p *Proxy) Pass(t testing.TB) {
	t.Helper()
	p.set(func(r *rule) { *r = rule{} })
	must(t, p.listen())
}

// Hang keeps connections open and accepts new ones, but moves no byte.
func (p *Proxy) Hang() { p.set(func(r *rule) { r.hang = true }) }

// HoldReplies forwards requests and keeps what the server answers back: it
// acts, the client hears of it only after Pass or Deafen.
func (p *Proxy) HoldReplies() { p.set(func(r *rule) { r.keep = true }) }

// Deafen lets replies by that HoldReplies kept back, and from the same moment
// on throws away what the client sends.
func (p *Proxy) Deafen() { p.set(func(r *rule) { *r = rule{lose: [2]bool{toServer: true}} }) }

// Delay holds each piece back for d, in both directions.
func (p *Proxy) Delay(d time.Duration) { p.set(func(r *rule) { r.delay = d }) }

// LoseReplies forwards requests, and reads and throws away what the server
// answers: it acts, the client never hears of it.
func (p *Proxy) LoseReplies() { p.set(func(r *rule) { r.lose[toClient] = true }) }

// LoseRequests throws away what the client sends; the client sees silence.
func (p *Proxy) LoseRequests() { p.set(func(r *rule) { r.lose[toServer] = true }) }

// LoseRepliesAfter lets n more reply bytes by (all connections together) and
// then loses them.
func (p *Proxy) LoseRepliesAfter(n int64) {
	p.set(func(r *rule) { r.after, r.afterLeft = true, n })
}

// CutNextReply loses the next reply and closes its connection, once: the
// request was carried out, the client cannot know.
func (p *Proxy) CutNextReply() { p.set(func(r *rule) { r.cutReply = true }) }

// Drop closes all open connections; new ones are served by the rule in force.
func (p *Proxy) Drop() {
	for _, l := range p.open() {
		l.close()
	}
}

// Refuse closes all connections and refuses new ones until Pass.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	lis := p.lis
	p.lis = nil
	p.mu.Unlock()
	if lis != nil {
		// Closing a listener fails only when it is closed already.
		_ = lis.Close()
	}
	p.Drop()
}

// Retarget sends connections made from now on to another server.
func (p *Proxy) Retarget(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Traffic tells what went through so far.
func (p *Proxy) Traffic() Traffic {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Open is the number of open connections.
func (p *Proxy) Open() int { return len(p.open()) }

func (p *Proxy) open() []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*link
	for l := range p.links {
		all = append(all, l)
	}
	return all
}

func (p *Proxy) set(change func(*rule)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.rule)
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) close() {
	p.set(func(r *rule) { *r = rule{} })
	p.Refuse()
	p.pumps.Wait()
}
