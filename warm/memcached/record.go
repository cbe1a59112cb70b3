package memcached

import "net"

// tail is how much of each write over TLS goes into a record of its own.
const tail = 2

// tailed writes so that a memcached reads all of it. Of a record that is longer than what it has room for, or that ends
// behind the value it waits for, it reads a part; the rest lies in its TLS library, and it sleeps until the socket has
// more: a pipeline whose last record that is would stand still. While a last, tiny record is in the socket it does not
// sleep, and of that one it reads all.
type tailed struct{ net.Conn }

func (t tailed) Write(p []byte) (int, error) {
	if len(p) <= tail {
		return t.Conn.Write(p)
	}
	n, err := t.Conn.Write(p[:len(p)-tail])
	if err != nil {
		return n, err
	}
	more, err := t.Conn.Write(p[len(p)-tail:])
	return n + more, err
}
