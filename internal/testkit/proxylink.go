package testkit

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// link is one client connection and its connection to the server.
type link struct {
	client, server net.Conn
	once           sync.Once
	gone           chan struct{}
}

func (l *link) close() {
	l.once.Do(func() {
		close(l.gone)
		// The pumps see the close as the end of their streams.
		_ = l.client.Close()
		_ = l.server.Close()
	})
}

// listen takes the port back after Refuse.
func (p *Proxy) listen() error {
	p.mu.Lock()
	running := p.lis != nil
	p.mu.Unlock()
	if running {
		return nil
	}
	var lis net.Listener
	word, ok := Poll(5*time.Second, func() (bool, string) {
		var err error
		lis, err = net.Listen("tcp4", p.addr)
		return err == nil, fmt.Sprint(err)
	})
	if !ok {
		return errors.New("the proxy cannot have its port back: " + word)
	}
	p.serve(lis)
	return nil
}

func (p *Proxy) serve(lis net.Listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lis = lis
	p.pumps.Add(1)
	go func() {
		defer p.pumps.Done()
		p.accept(lis)
	}()
}

func (p *Proxy) accept(lis net.Listener) {
	for {
		client, err := lis.Accept()
		if err != nil {
			return
		}
		p.connect(lis, client)
	}
}

// connect closes the client at once when the server cannot be reached, as a
// machine does that has lost its service.
func (p *Proxy) connect(lis net.Listener, client net.Conn) {
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	server, err := net.DialTimeout("tcp", target, 2*time.Second)
	if err != nil {
		_ = client.Close()
		return
	}
	l := &link{client: client, server: server, gone: make(chan struct{})}
	p.mu.Lock()
	refused := p.lis != lis
	if !refused {
		p.links[l] = true
		p.stats.Conns++
		p.pumps.Add(2)
	}
	p.mu.Unlock()
	if refused {
		l.close()
		return
	}
	go p.pump(l, toServer)
	go p.pump(l, toClient)
}

// pump moves one direction until either end closes.
func (p *Proxy) pump(l *link, dir int) {
	defer p.pumps.Done()
	defer p.forget(l)
	from, to := l.client, l.server
	if dir == toClient {
		from, to = l.server, l.client
	}
	buf := make([]byte, 32<<10)
	for p.mayRead(l, dir) {
		n, err := from.Read(buf)
		if n > 0 && !p.forward(l, dir, to, buf[:n]) {
			return
		}
		if err != nil {
			return
		}
	}
}

func (p *Proxy) forget(l *link) {
	l.close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// mayRead blocks while the proxy hangs; false means the link is closed.
func (p *Proxy) mayRead(l *link, dir int) bool {
	for {
		p.mu.Lock()
		hang, changed := p.rule.hang || p.rule.keep && dir == toClient, p.changed
		p.mu.Unlock()
		if !hang {
			return true
		}
		select {
		case <-changed:
		case <-l.gone:
			return false
		}
	}
}

// forward waits out hang and delay, then asks what to do with the piece.
func (p *Proxy) forward(l *link, dir int, to net.Conn, piece []byte) bool {
	if !p.hold(l) || !p.mayRead(l, dir) {
		return false
	}
	keep, cut := p.judge(dir, len(piece))
	if cut {
		return false
	}
	_, err := to.Write(piece[:keep])
	return err == nil
}

func (p *Proxy) hold(l *link) bool {
	p.mu.Lock()
	delay := p.rule.delay
	p.mu.Unlock()
	if delay == 0 {
		return true
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.gone:
		return false
	}
}

// judge tells how many of n bytes to forward and whether to cut the link.
func (p *Proxy) judge(dir, n int) (keep int, cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	keep = n
	r := &p.rule
	if dir == toClient && r.cutReply {
		r.cutReply = false
		p.stats.Lost += int64(n)
		return 0, true
	}
	if r.lose[dir] {
		keep = 0
	}
	if dir == toClient && r.after && keep > 0 {
		keep = int(min(r.afterLeft, int64(n)))
		r.afterLeft -= int64(keep)
	}
	p.count(dir, keep, n-keep)
	return keep, false
}

func (p *Proxy) count(dir, kept, lost int) {
	p.stats.Lost += int64(lost)
	if dir == toServer {
		p.stats.Requests += int64(kept)
		return
	}
	p.stats.Replies += int64(kept)
}
