package testkit

import (
	"errors"
	"fmt"
	"net"
)

// freePorts asks the kernel for n distinct free ports of 127.0.0.1. Nobody
// holds them afterwards: whoever starts a server on one must be ready to see
// it taken and ask again.
func freePorts(n int) (ports []int, err error) {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			err = errors.Join(err, l.Close())
		}
	}()
	for range n {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("cannot find a free port on 127.0.0.1: %w", err)
		}
		held = append(held, l)
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
