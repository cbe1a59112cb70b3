package drain

import "net/netip"

// Orphans counts the connections to a server that nobody owns any more, and over which something may still
// arrive: those of a device that was detached, most often.
func Orphans(server netip.AddrPort) (n int, err error) {
	all, err := connections()
	for _, c := range all {
		if c.inode == 0 && c.remote == server && c.state != timeWait {
			n++
		}
	}
	return n, err
}
