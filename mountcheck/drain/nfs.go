package drain

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/interlock-run/interlock/mountcheck"
)

// nfsServers lists the servers that the NFS client of our network namespace knows, whether or not anything
// of them is still mounted.
const nfsServers = "/proc/fs/nfsfs/servers"

const nfsPort = 2049

// nfs is the kernel's client of one server.
type nfs struct {
	server netip.AddrPort
	blind  string // why nothing can be told, ever
	wires  *wires
}

func newNFS(m mountcheck.Mount) *nfs {
	n := &nfs{}
	addr, _ := option(m.Super, "addr")
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		n.blind = fmt.Sprintf("the mount does not name its server's address: %v", err)
		return n
	}
	port := uint64(nfsPort)
	if text, found := option(m.Super, "port"); found && text != "0" {
		if port, err = strconv.ParseUint(text, 10, 16); err != nil {
			n.blind = fmt.Sprintf("the mount's option port=%s: %v", text, err)
		}
	}
	n.server = netip.AddrPortFrom(ip.Unmap().WithZone(""), uint16(port))
	if proto, _ := option(m.Super, "proto"); proto != "tcp" && proto != "tcp6" {
		n.blind = fmt.Sprintf("the server is reached by proto=%s, whose messages cannot be seen", proto)
	}
	n.wires = newWires(func(c conn) bool { return c.remote == n.server })
	if listed, err := n.listed(); n.blind == "" && (err != nil || !listed) {
		n.blind = fmt.Sprintf("server %s is not listed in %s although it is mounted (another network namespace?) %s", n.server, nfsServers, text(err))
	}
	return n
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// check: either the server has answered for everything, by a sync after the payload's death, or the client
// has forgotten the server, and with it what it had for it. In both cases no connection may hold bytes: a
// request of a killed process leaves no page that a sync would wait for, only bytes in a socket.
func (n *nfs) check(e Evidence) (State, string) {
	if n.blind != "" {
		return Unknown, n.blind
	}
	all, err := connections()
	if err != nil {
		return Unknown, err.Error()
	}
	listed, err := n.listed()
	switch {
	case err != nil:
		return Unknown, err.Error()
	case e.Synced:
		return n.wires.idle(all)
	case !e.Detached:
		return Pending, "not synced"
	case listed:
		return Pending, fmt.Sprintf("the NFS client still knows server %s: writes are under way, or something else of it is mounted", n.server)
	}
	return n.wires.closed(all)
}

func (n *nfs) close() error { return nil }

func (n *nfs) listed() (bool, error) {
	raw, err := os.ReadFile(nfsServers)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // the module is gone, and with it all clients
	}
	if err != nil {
		return false, fmt.Errorf("cannot read the NFS client's servers: %w", err)
	}
	return serverListed(string(raw), n.server)
}

// serverListed reads lines of version, address and port in hexadecimal digits.
func serverListed(text string, server netip.AddrPort) (bool, error) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] == "NV" {
			continue
		}
		b, err := hex.DecodeString(f[1])
		port, err2 := strconv.ParseUint(f[2], 16, 16)
		ip, ok := netip.AddrFromSlice(b)
		if err := errors.Join(err, err2); err != nil || !ok {
			return false, fmt.Errorf("%s: line %q is not understood", nfsServers, strings.TrimSpace(line))
		}
		if netip.AddrPortFrom(ip.Unmap(), uint16(port)) == server {
			return true, nil
		}
	}
	return false, nil
}
