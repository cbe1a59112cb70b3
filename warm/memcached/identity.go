package memcached

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	"golang.org/x/sys/unix"
)

// Identity tells one run of a server from every other that this host can reach, and is the same however the server is
// named: by its socket, by localhost, by any address of this host. What forwards a port to it makes another name of it
// that cannot be seen through, unless it forwards a socket.
func (c *Conn) Identity() (string, error) {
	st, err := c.State()
	if err != nil {
		return "", err
	}
	where, err := c.where()
	if err != nil {
		return "", c.fail(err)
	}
	return fmt.Sprintf("%s pid %d since %d", where, st.PID, st.Start()), nil
}

// where is the host and the port. Over a socket the server is asked for its port: without it two of them in containers,
// where each is process 1, would be one.
func (c *Conn) where() (string, error) {
	addr, tcp := c.conn.RemoteAddr().(*net.TCPAddr)
	if !tcp {
		all, err := c.Stats("settings")
		return net.JoinHostPort(hereName, all["tcpport"]), err
	}
	host := addr.IP.String()
	own, err := here(addr)
	if own {
		host = hereName
	}
	return net.JoinHostPort(host, strconv.Itoa(addr.Port)), err
}

// hereName stands for all addresses of this host.
const hereName = "here"

// here tells whether an address is one of this host's: whether it can be bound.
func here(addr *net.TCPAddr) (bool, error) {
	l, err := net.ListenUDP("udp", &net.UDPAddr{IP: addr.IP, Zone: addr.Zone})
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot tell whether %s is an address of this host: %w", addr.IP, err)
	}
	return true, l.Close()
}
