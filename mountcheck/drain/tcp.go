package drain

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A conn is one line of the kernel's table of TCP connections, those without an owner included.
type conn struct {
	local, remote netip.AddrPort
	state         string
	unsent        uint64 // bytes that the peer has not acknowledged
	inode         uint64 // 0: no process and no part of the kernel owns it any more
}

// The states of the kernel's table that are told apart here.
const (
	established = "01"
	finWait2    = "05"
	timeWait    = "06"
	listening   = "0A"
)

// connections reads both tables of our network namespace.
func connections() ([]conn, error) { return connectionsIn("/proc/self/net") }

func connectionsIn(dir string) ([]conn, error) {
	var all []conn
	for _, file := range []string{dir + "/tcp", dir + "/tcp6"} {
		raw, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) && strings.HasSuffix(file, "6") {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read the connections: %w", err)
		}
		found, err := parseConnections(string(raw))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, found...)
	}
	return all, nil
}

func parseConnections(text string) ([]conn, error) {
	var all []conn
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 10 || f[0] == "sl" {
			continue
		}
		local, err := parseEnd(f[1])
		remote, err2 := parseEnd(f[2])
		sendQueue, _, _ := strings.Cut(f[4], ":")
		unsent, err3 := strconv.ParseUint(sendQueue, 16, 64)
		inode, err4 := strconv.ParseUint(f[9], 10, 64)
		if err := errors.Join(err, err2, err3, err4); err != nil {
			return nil, fmt.Errorf("line %q: %w", strings.TrimSpace(line), err)
		}
		if f[3] != listening {
			all = append(all, conn{local: local, remote: remote, state: f[3], unsent: unsent, inode: inode})
		}
	}
	return all, nil
}

// parseEnd reads an address as the kernel prints it: words of four bytes in the machine's own order.
func parseEnd(s string) (netip.AddrPort, error) {
	addr, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if littleEndian() {
		for word := range slices.Chunk(b, 4) {
			slices.Reverse(word)
		}
	}
	ip, ok := netip.AddrFromSlice(b)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("%q is no address", addr)
	}
	n, err := strconv.ParseUint(port, 16, 16)
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)), err
}

// wires follows the connections of one volume from check to check: what a connection was last tells what
// its disappearance means.
type wires struct {
	mine func(conn) bool
	last map[wire]sighting
	lost string // a connection that ended without the peer's word
	// rested are those that were idle at least once since calm is asked.
	rested map[wire]bool
	now    func() time.Time
}

type wire struct{ local, remote netip.AddrPort }

type sighting struct {
	state string
	since time.Time
}

func newWires(mine func(conn) bool) *wires {
	return &wires{mine: mine, last: map[wire]sighting{}, rested: map[wire]bool{}, now: time.Now}
}

// finTimeout says for how many seconds the kernel keeps a connection of which the peer has taken all and
// which it does not close.
const finTimeout = "/proc/sys/net/ipv4/tcp_fin_timeout"

// patience is less than that time. Gone earlier, the peer has closed or reset the connection; gone later,
// the peer may be a stopped process that will go on with what it was sent. None where it is not known.
func patience() time.Duration {
	raw, err := os.ReadFile(finTimeout)
	seconds, numberErr := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil || numberErr != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second * 3 / 4
}

// open lists the connections over which something may still arrive.
func (w *wires) open(all []conn) []conn {
	var left []conn
	seen := map[wire]bool{}
	for _, c := range all {
		if !w.mine(c) {
			continue
		}
		key := wire{c.local, c.remote}
		seen[key] = true
		if was, known := w.last[key]; !known || was.state != c.state {
			w.last[key] = sighting{c.state, w.now()}
		}
		if c.state != timeWait { // both sides have said that they are done
			left = append(left, c)
		}
	}
	for key, was := range w.last {
		if seen[key] {
			continue
		}
		if was.state == finWait2 && w.now().Sub(was.since) >= patience() {
			w.lost = key.remote.String()
		}
		delete(w.last, key)
	}
	return left
}

// closed is the judgement of connections that must all have ended.
func (w *wires) closed(all []conn) (State, string) {
	left := w.open(all)
	switch {
	case len(left) > 0:
		return Pending, fmt.Sprintf("%d connections to %s are not closed, with %d bytes on their way", len(left), left[0].remote, unsent(left))
	case w.lost != "":
		return Unknown, fmt.Sprintf("%s took all that was sent and never closed the connection: it may still carry it out", w.lost)
	}
	return Drained, ""
}

// idle is the judgement of connections that go on being used: nothing may be on its way.
func (w *wires) idle(all []conn) (State, string) {
	return underWay(slices.DeleteFunc(w.open(all), conn.idle))
}

func underWay(left []conn) (State, string) {
	if len(left) > 0 {
		return Pending, fmt.Sprintf("%d bytes are on their way to %s", unsent(left), left[0].remote)
	}
	return Drained, ""
}

// How often connections that others keep busy are looked at in a row, and how far apart.
const (
	glances  = 10
	glancing = 5 * time.Millisecond
)

// calm is idle for connections over which nothing more of ours goes: each must have been idle once, not all of them
// at one time, because other mounts of the same server may keep them busy for ever.
func (w *wires) calm(all []conn, look func() ([]conn, error)) (State, string) {
	tick := time.NewTicker(glancing)
	defer tick.Stop()
	left := slices.DeleteFunc(w.open(all), w.restedOnce)
	for i := 0; len(left) > 0 && i < glances; i++ {
		<-tick.C
		var err error
		if all, err = look(); err != nil {
			return Unknown, err.Error()
		}
		left = slices.DeleteFunc(w.open(all), w.restedOnce)
	}
	return underWay(left)
}

func (w *wires) restedOnce(c conn) bool {
	key := wire{c.local, c.remote}
	if c.idle() {
		w.rested[key] = true
	}
	return w.rested[key]
}

func (c conn) idle() bool { return c.unsent == 0 && (c.state == established || c.state == finWait2) }

func unsent(all []conn) (n uint64) {
	for _, c := range all {
		n += c.unsent
	}
	return n
}
