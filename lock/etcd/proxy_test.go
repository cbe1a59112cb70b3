package etcd

import (
	"bytes"
	"net"
	"sync"
	"testing"
)

// A proxy stands between a driver and its server and breaks the connection in chosen ways.
type proxy struct {
	t      *testing.T
	ln     net.Listener
	target string
	flight sync.WaitGroup

	mu      sync.Mutex
	marker  []byte        // a request with these bytes is the last whose connection gets replies
	heard   chan struct{} // closed when the marker was forwarded
	open    map[net.Conn]bool
	watched []byte
	before  func()        // called once, before a request with the watched bytes is passed on
	frozen  chan struct{} // nothing passes until closed; nil: all passes
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, ln: ln, target: target, open: map[net.Conn]bool{}}
	p.flight.Go(p.accept)
	t.Cleanup(func() {
		p.thaw()
		p.drop(ln.Close)
		p.cut()
		p.flight.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.ln.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.flight.Go(func() { p.serve(client) })
	}
}

func (p *proxy) serve(client net.Conn) {
	p.remember(client)
	defer p.forget(client)
	p.gate()
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	p.remember(server)
	defer p.forget(server)
	mute := make(chan struct{})
	var back sync.WaitGroup
	back.Go(func() { p.copy(client, server, func([]byte) bool { return !isClosed(mute) }); p.forget(client) })
	p.copy(server, client, func(b []byte) bool { p.listen(b, mute); return true })
	p.forget(server)
	back.Wait()
}

// copy passes what keep allows; muted bytes are swallowed.
func (p *proxy) copy(dst, src net.Conn, keep func([]byte) bool) {
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		p.gate()
		if n > 0 && keep(buf[:n]) {
			if _, err := dst.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// listen mutes the connection once the marker has passed.
func (p *proxy) listen(b []byte, mute chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.before != nil && bytes.Contains(b, p.watched) {
		p.before()
		p.before = nil
	}
	if p.marker != nil && bytes.Contains(b, p.marker) {
		p.marker = nil
		close(mute)
		close(p.heard)
	}
}

// loseReply swallows the reply to the first request with these bytes, and all later ones on its connection.
func (p *proxy) loseReply(marker string) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.marker, p.heard = []byte(marker), make(chan struct{})
	return p.heard
}

// delay runs f before the first request with these bytes is passed on.
func (p *proxy) delay(marker string, f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watched, p.before = []byte(marker), f
}

// freeze lets connections be made and nothing pass, like a hung server.
func (p *proxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen == nil {
		p.frozen = make(chan struct{})
	}
}

func (p *proxy) thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen != nil {
		close(p.frozen)
		p.frozen = nil
	}
}

func (p *proxy) gate() {
	p.mu.Lock()
	frozen := p.frozen
	p.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
}

// cut closes all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	var all []net.Conn
	for c := range p.open {
		all = append(all, c)
	}
	p.mu.Unlock()
	for _, c := range all {
		p.forget(c)
	}
}

func (p *proxy) remember(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[c] = true
}

func (p *proxy) forget(c net.Conn) {
	p.mu.Lock()
	mine := p.open[c]
	delete(p.open, c)
	p.mu.Unlock()
	if mine {
		p.drop(c.Close)
	}
}

// drop closes something that the other side may have closed already.
func (p *proxy) drop(close func() error) {
	if err := close(); err != nil {
		p.t.Logf("proxy: %v", err)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
