package supervise

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// watchInit reads an init's reports until it is gone.
func (g *guard) watchInit(in *nsInit) {
	g.spawn(func() {
		buf := make([]byte, 256)
		for {
			m, err := in.link.recv(buf)
			r := initReport{from: in, eof: err != nil}
			if err == nil {
				m.close()
				u := &unpacker{b: m.body}
				kind, id, value := u.num(), uint32(u.num()), u.num()
				r.id = id
				if kind == msgFailed {
					r.errno = syscall.Errno(value)
				} else {
					r.status = syscall.WaitStatus(value)
				}
			}
			select {
			case g.in.inits <- r:
			case <-g.in.stop:
				return
			}
			if r.eof {
				return
			}
		}
	})
}

func (g *guard) onInit(r initReport) {
	if r.eof {
		r.from.eof = true
		if r.from.unwanted {
			_ = r.from.close()
			return
		}
		g.namespaceOver()
		return
	}
	g.ended(r.id, r.status, r.errno)
}

// namespaceOver gives those that died with their namespace the status that they had no one to tell.
func (g *guard) namespaceOver() {
	if g.choice.ns == nil || !g.choice.ns.over() {
		return
	}
	for id := range g.children {
		g.ended(id, syscall.WaitStatus(unix.SIGKILL), 0)
	}
}
