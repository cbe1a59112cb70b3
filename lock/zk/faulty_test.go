package zk

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
)

// Operation numbers of ZooKeeper's protocol that faults are aimed at.
const (
	codeCreate   = 1
	codeChildren = 12
	codeMulti    = 14
	xidEvent     = -1
)

// A fault is what happens to the reply of one request that the server has applied.
type fault int

const (
	pass fault = iota
	cutReply
	swallowReply // and everything behind it on that connection
	swallowHello // the server's answer to a new connection
)

// faulty is a proxy that understands ZooKeeper's frames, so that a fault hits exactly one kind of
// request. It is armed for one hit.
type faulty struct {
	target string
	lis    net.Listener
	all    sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]bool
	code   int32
	todo   fault
	zxids  []int64       // what each new connection said that it had seen
	events int           // watch events that went to the client
	hit    chan struct{} // one value per hit
	held   chan struct{} // closed: what was swallowed is let through
	once   sync.Once
}

func newFaulty(t testing.TB, target string) *faulty {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	f := &faulty{target: target, lis: lis, conns: map[net.Conn]bool{}, hit: make(chan struct{}, 100), held: make(chan struct{})}
	f.all.Go(f.serve)
	t.Cleanup(f.close)
	return f
}

func (f *faulty) addr() string { return f.lis.Addr().String() }

// arm lets the next request with this code run into the fault.
func (f *faulty) arm(code int32, what fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.code, f.todo = code, what
}

// release lets through what was swallowed.
func (f *faulty) release() { f.once.Do(func() { close(f.held) }) }

func (f *faulty) notified() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.events
}

func (f *faulty) close() {
	f.release()
	f.lis.Close()
	f.mu.Lock()
	for c := range f.conns {
		c.Close()
	}
	f.conns = nil
	f.mu.Unlock()
	f.all.Wait()
}

func (f *faulty) serve() {
	for {
		client, err := f.lis.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", f.target)
		if err != nil {
			client.Close()
			continue
		}
		if !f.keep(client, server) {
			return
		}
		p := &pair{f: f, client: client, server: server, xids: map[int32]fault{}}
		f.all.Go(p.requests)
		f.all.Go(p.replies)
	}
}

func (f *faulty) keep(conns ...net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range conns {
		if f.conns == nil {
			c.Close()
			continue
		}
		f.conns[c] = true
	}
	return f.conns != nil
}

// take uses up an armed fault.
func (f *faulty) take(match func(code int32, what fault) bool) fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.todo == pass || !match(f.code, f.todo) {
		return pass
	}
	what := f.todo
	f.todo = pass
	return what
}

// A pair is one connection through the proxy.
type pair struct {
	f              *faulty
	client, server net.Conn
	mu             sync.Mutex
	xids           map[int32]fault
}

func (p *pair) end() { p.client.Close(); p.server.Close() }

func (p *pair) requests() {
	defer p.end()
	for first := true; ; first = false {
		frame, err := readRaw(p.client)
		if err != nil {
			return
		}
		if first && len(frame) >= 16 {
			p.f.mu.Lock()
			p.f.zxids = append(p.f.zxids, int64(binary.BigEndian.Uint64(frame[8:])))
			p.f.mu.Unlock()
		}
		if !first && len(frame) >= 12 {
			xid, code := int32(binary.BigEndian.Uint32(frame[4:])), int32(binary.BigEndian.Uint32(frame[8:]))
			what := p.f.take(func(c int32, w fault) bool { return c == code && w != swallowHello })
			p.mu.Lock()
			p.xids[xid] = what
			p.mu.Unlock()
		}
		if _, err := p.server.Write(frame); err != nil {
			return
		}
	}
}

func (p *pair) replies() {
	defer p.end()
	for first := true; ; first = false {
		frame, err := readRaw(p.server)
		if err != nil {
			return
		}
		switch p.judge(frame, first) {
		case cutReply:
			p.f.hit <- struct{}{}
			return
		case swallowReply, swallowHello:
			p.f.hit <- struct{}{}
			<-p.f.held
		}
		if _, err := p.client.Write(frame); err != nil {
			return
		}
	}
}

func (p *pair) judge(frame []byte, first bool) fault {
	if first {
		return p.f.take(func(_ int32, w fault) bool { return w == swallowHello })
	}
	xid := int32(binary.BigEndian.Uint32(frame[4:]))
	if xid == xidEvent {
		p.f.mu.Lock()
		p.f.events++
		p.f.mu.Unlock()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.xids[xid]
}

func readRaw(r io.Reader) ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	frame := append(head, make([]byte, binary.BigEndian.Uint32(head))...)
	_, err := io.ReadFull(r, frame[4:])
	return frame, err
}
