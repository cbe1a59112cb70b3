// Package drain tells whether what a dead payload wrote can still reach its storage.
//
// That a process is dead and its filesystem unmounted does not mean that its writes are over: pages wait
// in an NFS client without a mount, and bytes in a socket that nobody owns any more. Promise: a volume is
// called drained only by what was seen; what was not looked at before it was detached, or cannot be read
// now, is unknown. No call here touches a mount, so none hangs on one; flush.Sync does. Non-promise: a
// server that has taken a request and carries it out later is outside of what a client can see, as is
// what was handed to another process over a local socket; data that was lost is drained, too. To be called
// by internal/lifecycle: Capture while the volumes are mounted, flush.Sync by a worker once the payload is dead,
// Check until all is drained.
package drain

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/mountcheck/fusectl"
)

// State is how far a volume is.
type State string

// The states. Only Drained may be told to others as such.
const (
	Drained State = "drained" // nothing of the payload can still arrive
	Pending State = "pending" // something can; asking again later may help
	Kept    State = "kept"    // it is mounted, and whoever mounted it keeps it so; waiting does not help
	Unknown State = "unknown" // nobody here can tell; waiting does not help
)

// A Verdict is the state of one volume. Why is one line, also for Drained.
type Verdict struct {
	Path  string
	State State
	Why   string
}

// A Volume is a path that the payload writes below.
type Volume struct {
	Path string
	// Export is where its network block device is connected to, for whoever attached it. Without it the
	// socket of the process that did is looked for.
	Export netip.AddrPort
	// Ours is a mount that is unmounted, and its device detached, before it is asked about.
	Ours bool
}

// Evidence is what was done to a volume since the payload was proven dead.
type Evidence struct {
	Synced   bool // flush.Sync returned no error
	Detached bool // no mount of it is left, nor the device's connection
	// Settled: between the unmount and the disconnection the device answered a flush and a read (device.Rest), so that
	// every request before them was answered, too.
	Settled bool
	// Left: what is still mounted stays so, because nobody here unmounts it: it is the host's.
	Left bool
}

// A Plan is what had to be known while the volumes were mounted. One goroutine uses it.
type Plan struct {
	volumes []*volume
	control *fusectl.List
}

type volume struct {
	Volume
	layers []layer
	block  bool // a filesystem on a device writes by itself as long as it is mounted
}

// A layer is one of the things that a write passes on its way down.
type layer interface {
	// check looks again; evidence is that of the whole volume.
	check(Evidence) (State, string)
	// outlook is what check can come to after a good sync: Drained, Kept where it also has to be unmounted and
	// detached, Unknown.
	outlook() (State, string)
	// earlier tells of a layer that is drained whether what payloads before this plan had sent there is, too.
	earlier() bool
	close() error
}

// Capture looks at volumes that are mounted and right. It may be called again later, for a new Plan.
func Capture(vs []Volume) (*Plan, error) {
	p := &Plan{control: fusectl.Open()}
	for _, v := range vs {
		m, err := mountcheck.Trace(v.Path)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("cannot tell what is to be drained at %s: %w", v.Path, err), p.Close())
		}
		layers, block := p.layersOf(m, v.Export)
		p.volumes = append(p.volumes, &volume{Volume: v, layers: layers, block: block})
	}
	return p, nil
}

// Check looks again. Evidence is by the volume's path; none means that nothing was done.
func (p *Plan) Check(done map[string]Evidence) []Verdict {
	var all []Verdict
	for _, v := range p.volumes {
		state, why := v.check(done[v.Path])
		all = append(all, Verdict{Path: v.Path, State: state, Why: why})
	}
	return all
}

// Close lets go of what the plan holds: descriptors, no mounts.
func (p *Plan) Close() error {
	errs := []error{p.control.Close()}
	for _, v := range p.volumes {
		for _, l := range v.layers {
			errs = append(errs, l.close())
		}
	}
	return errors.Join(errs...)
}

// Outlook tells, one volume after the other, what Check can come to if all goes well.
func (p *Plan) Outlook() []Verdict {
	var all []Verdict
	for _, v := range p.volumes {
		var w worst
		for _, l := range v.layers {
			w.add(l.outlook())
		}
		if v.block && v.remote() {
			w.add(Kept, "a filesystem on a block device writes by itself as long as it is mounted")
		}
		if w.state == Kept && v.Ours {
			w.state = Drained
		}
		all = append(all, Verdict{Path: v.Path, State: w.state, Why: strings.Join(w.whys, "; ")})
	}
	return all
}

// Earlier tells of a volume that is drained whether what earlier payloads of this boot had sent to it, maybe
// through another mount or attachment of it, has arrived, too.
func (p *Plan) Earlier(path string) bool {
	return slices.ContainsFunc(p.volumes, func(v *volume) bool {
		return v.Path == path && !slices.ContainsFunc(v.layers, func(l layer) bool { return !l.earlier() })
	})
}

// Local tells whether all that is written to the volume ends on this machine.
func (p *Plan) Local(path string) bool {
	for _, v := range p.volumes {
		if v.Path == path {
			return !v.remote()
		}
	}
	return false
}

func (v *volume) remote() bool {
	return slices.ContainsFunc(v.layers, func(l layer) bool { _, is := l.(local); return !is })
}

// check is the worst of its layers: all that can arrive counts, then all that cannot be told. Every layer
// looks each time, because some learn from what they see come and go.
func (v *volume) check(e Evidence) (State, string) {
	var w worst
	for _, l := range v.layers {
		w.add(l.check(e))
	}
	if v.block && v.remote() && !e.Detached {
		return w.mounted(e, "still mounted, and a filesystem on a block device writes by itself: unmount it")
	}
	return w.state, strings.Join(w.whys, "; ")
}

// A worst gathers what layers say; its zero value is Drained.
type worst struct {
	state State
	whys  []string
}

func (w *worst) add(s State, why string) {
	if w.state == "" {
		w.state = Drained
	}
	if rank(s) > rank(w.state) {
		w.state, w.whys = s, nil
	}
	if s == w.state && why != "" {
		w.whys = append(w.whys, why)
	}
}

// mounted is the answer for what has to be unmounted first; bytes under way below it are waited for all the same.
func (w *worst) mounted(e Evidence, why string) (State, string) {
	if !e.Left {
		return Pending, why
	}
	if w.state == Pending {
		return Pending, strings.Join(w.whys, "; ")
	}
	return Kept, why
}

func rank(s State) int {
	switch s {
	case Drained:
		return 0
	case Unknown:
		return 1
	case Kept:
		return 2
	}
	return 3
}

// local is what ends on this machine: whoever reads it later reads it here.
type local struct{ what string }

func (l local) check(Evidence) (State, string) { return l.outlook() }
func (l local) outlook() (State, string)       { return Drained, l.what + " is local" }
func (l local) earlier() bool                  { return true }
func (l local) close() error                   { return nil }

// strange is what nothing here knows how to ask.
type strange struct{ why string }

func (s strange) check(Evidence) (State, string) { return Unknown, s.why }
func (s strange) outlook() (State, string)       { return Unknown, s.why }
func (s strange) earlier() bool                  { return false }
func (s strange) close() error                   { return nil }
