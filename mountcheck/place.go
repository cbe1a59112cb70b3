package mountcheck

import (
	"strings"
	"time"
)

// A Place is how a mount stands to the one above it, and to other mount namespaces: a container's, and the host's.
type Place struct {
	Mount, Above Mount
	// Hears: what is mounted and unmounted at this path in the mount namespaces that have the same mount above
	// happens here, too. Without it a container keeps what it was given, whatever the host does.
	Hears bool
	// From: only from there to here (HostToContainer, rslave), not both ways.
	From bool
	// Inside: a directory of the filesystem that is above it, mounted by itself.
	Inside bool
}

// Locate finds the mount that holds a path, by the mount table alone. Above is empty for the root, and in a chroot.
func Locate(path string) (Place, error) {
	tb, err := readTable()
	if err != nil {
		return Place{}, err
	}
	real, _, err := tb.resolve(path)
	if err != nil {
		return Place{}, err
	}
	return tb.place(tb.holder(real)), nil
}

func (t *table) place(m Mount) Place {
	p := Place{Mount: m, Above: t.byID[m.Parent]}
	if p.Above.ID == 0 || p.Above.ID == m.ID {
		p.Above = Mount{}
		return p
	}
	for _, o := range strings.Fields(t.far[p.Above.ID]) {
		kind, _, _ := strings.Cut(o, ":")
		p.Hears = p.Hears || kind == "shared" || kind == "master"
		p.From = p.From || kind == "master"
	}
	p.Inside = m.Major == p.Above.Major && m.Minor == p.Above.Minor && m.Major+m.Minor != 0
	return p
}

// Bare tells whether nothing but the place of a mount is expected: another one at the same place is taken for it,
// as a directory of the host's disk is that a container was given while the host had not mounted the volume.
func (e Expect) Bare() bool {
	return e.FSType == "" && e.Source == "" && e.Volume == "" && e.UUID == ""
}

// Soonest is how long after its beginning a hang, and an error, of a mount counts at most.
func (c Config) Soonest(e Expect) (hang, failure time.Duration) {
	c = c.withDefaults()
	return c.Period + c.Timeout + e.FailAfter, c.Period + e.FailAfter
}
