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

// nfsVolumes lists what is mounted of them.
const nfsVolumes = "/proc/fs/nfsfs/volumes"

const nfsPort = 2049

// nfs is the kernel's client of one server.
type nfs struct {
	server netip.AddrPort
	device string // of the mount's superblock
	blind  string // why nothing can be told, ever
	wires  *wires
}

func newNFS(m mountcheck.Mount) *nfs {
	n := &nfs{device: fmt.Sprintf("%d:%d", m.Major, m.Minor)}
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
	if n.blind == "" {
		n.blind = elsewhere(m)
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
		return n.wires.calm(all, connections)
	case !e.Detached && e.Left:
		if state, why := n.wires.idle(all); state != Drained {
			return state, why
		}
		return Kept, "not synced, and it stays mounted"
	case !e.Detached:
		return Pending, "not synced"
	case listed:
		return n.known()
	}
	return n.wires.closed(all)
}

// known is the answer as long as the client knows the server: writes are under way, unless it knows it for
// another mount's sake.
func (n *nfs) known() (State, string) {
	others, err := listedIn(nfsVolumes, n.server, n.device)
	switch {
	case err != nil:
		return Unknown, err.Error()
	case others:
		return Unknown, fmt.Sprintf("something else of server %s is mounted, so that nobody can tell what is left of this mount", n.server)
	}
	return Pending, fmt.Sprintf("the NFS client still knows server %s: writes are under way", n.server)
}

func (n *nfs) outlook() (State, string) {
	if n.blind != "" {
		return Unknown, n.blind
	}
	return Drained, fmt.Sprintf("after a sync, with no byte on its way to %s", n.server)
}

// earlier: the kernel has one client of a server, whose pages and connections are all that was asked about.
func (n *nfs) earlier() bool { return true }

func (n *nfs) close() error { return nil }

func (n *nfs) listed() (bool, error) { return listedIn(nfsServers, n.server, "") }

func listedIn(file string, server netip.AddrPort, but string) (bool, error) {
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // the module is gone, and with it all clients
	}
	if err != nil {
		return false, fmt.Errorf("cannot read what the NFS client knows: %w", err)
	}
	return serverListed(string(raw), server, but)
}

// serverListed reads lines of version, address and port in hexadecimal digits, and in the list of volumes the
// device; that of but does not count: our own mount is listed as long as its pages are not written.
func serverListed(text string, server netip.AddrPort, but string) (bool, error) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] == "NV" {
			continue
		}
		b, err := hex.DecodeString(f[1])
		port, err2 := strconv.ParseUint(f[2], 16, 16)
		ip, ok := netip.AddrFromSlice(b)
		if err := errors.Join(err, err2); err != nil || !ok {
			return false, fmt.Errorf("NFS client: line %q is not understood", strings.TrimSpace(line))
		}
		if but != "" && len(f) > 3 && f[3] == but {
			continue
		}
		if netip.AddrPortFrom(ip.Unmap(), uint16(port)) == server {
			return true, nil
		}
	}
	return false, nil
}
