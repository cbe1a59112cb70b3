package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/mountcheck/drain"
	"github.com/interlock-run/interlock/mountcheck/rescue"
)

// outlooks says of each mount what can be done here when it fails: what is found and how soon, whether those who
// wait in it can be killed, and freed, whether it can be told drained, and where it is fenced. Nothing here asks a
// mount.
func outlooks(cfg config.Config, m mountcheck.Config, environ []string) []checkup {
	seen := map[string]bool{}
	var all []checkup
	add := func(path string, e mountcheck.Expect) {
		at, err := mountcheck.Locate(path)
		if err != nil || seen[at.Mount.Point] {
			return // the look has said it
		}
		seen[at.Mount.Point] = true
		o := outlook{cfg: cfg, mounts: m, want: e, at: at, container: container(environ, at)}
		all = append(all, o.lines()...)
	}
	for _, e := range m.Expect {
		if at, err := mountcheck.Locate(e.Path); err == nil && at.Mount.Point == e.Path {
			add(e.Path, e)
		}
	}
	if m.Data != "" {
		add(m.Data, mountcheck.Expect{FailAfter: m.FailAfter})
	}
	return all
}

// container tells whether this is most likely one: the answer makes a warning of what is told anyway.
func container(environ []string, at mountcheck.Place) bool {
	root, err := mountcheck.Locate("/")
	return at.Above.FSType == "overlay" || err == nil && root.Mount.FSType == "overlay" || lookup(environ, "KUBERNETES_SERVICE_HOST") != ""
}

// outlook is one mount.
type outlook struct {
	cfg       config.Config
	mounts    mountcheck.Config
	want      mountcheck.Expect
	at        mountcheck.Place
	container bool
}

func (o outlook) lines() []checkup {
	all := []checkup{o.found(), o.heard()}
	if l, odd := o.odd(); odd {
		all = append(all, l)
	}
	return append(all, o.killed(), o.freed(), o.drained(), o.fenced())
}

func (o outlook) line(level, what, do string) checkup {
	return checkup{Level: level, Topic: "mount", What: o.at.Mount.Point + ": " + what, Do: do}
}

func (o outlook) found() checkup {
	hang, failure := o.mounts.Soonest(o.want)
	what := fmt.Sprintf("found: a change of the mount at once, an error within %s, a hang within %s", failure, hang)
	if o.at.Mount.FSType == "ext4" {
		switch err := mountcheck.CanHearErrors(); err {
		case nil:
			what += "; an error inside of ext4 at once"
		default:
			what += fmt.Sprintf("; an error inside of ext4 by a probe alone (%v)", err)
		}
	}
	if !mountcheck.TimeoutKnown(o.at.Mount) {
		return o.line("warn", what+"; whether the device has a timeout is not told", "run as root of the machine, or see /sys/kernel/debug/nbd: without one nothing frees who waits in it")
	}
	if o.want.Path != "" && o.want.Bare() && o.at.Above.ID != 0 {
		return o.line("warn", what+"; any other filesystem there would be taken for it", "expect something that tells it apart: source, uuid, or volume after `interlock mount init`")
	}
	return o.line("ok", what, "")
}

// heard is which of two cases of a container this is.
func (o outlook) heard() checkup {
	switch above := o.at.Above; {
	case above.ID == 0:
		return o.line("ok", "propagation: the root of this mount namespace", "")
	case o.at.Hears && o.at.From:
		return o.line("ok", fmt.Sprintf("propagation: what the host mounts and unmounts there is seen here (%s is its slave)", above.Point), "")
	case o.at.Hears:
		return o.line("ok", fmt.Sprintf("propagation: what other mount namespaces mount and unmount there is seen here, and the other way round (%s is shared)", above.Point), "")
	case o.container:
		return o.line("warn", "propagation: bound into this container by itself: what the host unmounts stays alive here, what it mounts instead is never seen; the probes alone tell",
			"bind the directory above it with mount propagation HostToContainer (rslave), and --mount the volume below that")
	}
	return o.line("ok", "propagation: what is mounted and unmounted in this mount namespace is seen, what others do in theirs is not", "")
}

// odd is a mount that may be what a container was given in place of a volume that the host had not mounted yet.
func (o outlook) odd() (checkup, bool) {
	m := o.at.Mount
	bind := m.Root != "/" && m.Root != "" && m.FSType != "btrfs" && m.FSType != "overlay" && o.at.Above.ID != 0
	if !bind || strings.HasSuffix(o.want.Source, "]") {
		return checkup{}, false
	}
	what := fmt.Sprintf("it is the directory %s of %s, not a filesystem of its own; so looks what a container is given while the host has not mounted the volume", m.Root, m.Source)
	if o.at.Inside {
		what = fmt.Sprintf("it is the directory %s of the filesystem above it, %s", m.Root, m.Source)
	}
	return o.line("warn", what, fmt.Sprintf("if that is meant, expect source=%s[%s]", m.Source, m.Root)), true
}

// kind is how a filesystem behaves when its storage is gone.
func (o outlook) kind() string {
	switch m := o.at.Mount; {
	case strings.HasPrefix(m.FSType, "fuse"):
		return "fuse"
	case m.FSType == "nfs" || m.FSType == "nfs4":
		return "nfs"
	case m.NBD():
		return "nbd"
	case mountcheck.Network(m.FSType, m.Source, m.Options):
		return "network"
	}
	return "local"
}

func (o outlook) killed() checkup {
	switch o.kind() {
	case "fuse":
		return o.line("ok", "killed: who waits in it ends by SIGKILL only while its daemon has not taken the request; until then the lock is held", "")
	case "nfs":
		return o.line("ok", "killed: who waits in it ends by SIGKILL, but not a writer whose pages the server has not taken; until then the lock is held", "")
	case "nbd":
		return o.line("ok", "killed: who waits in it does not end by SIGKILL until the device's timeout; until then the lock is held", "")
	case "network":
		return o.line("ok", "killed: whether who waits in it ends by SIGKILL was not measured for "+o.at.Mount.FSType+"; until then the lock is held", "")
	}
	return o.line("ok", "killed: who waits in it ends by SIGKILL, at the latest when its disk answers", "")
}

// freed is what on_stuck free could pull.
func (o outlook) freed() checkup {
	p, err := rescue.Capture([]string{o.at.Mount.Point})
	if err != nil {
		return o.line("warn", "freed: "+err.Error(), "")
	}
	defer func() { _ = p.Close() }() // of descriptors that were read from
	var names []string
	for _, l := range p.Levers {
		if name := l.String(); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	switch err := rescue.Privileged(); {
	case len(names) == 0:
		return o.line("ok", "freed: there is no lever for it", "")
	case err != nil:
		return o.line("warn", fmt.Sprintf("freed: not by this process (%v): %s", err, strings.Join(names, ", ")), "give it that capability, or let the host do it when a run is stuck")
	}
	if o.cfg.End.OnStuck == "wait" {
		return o.line("ok", "freed: not, since on_stuck is wait: the lock is held until the storage answers; on_stuck: free would "+strings.Join(names, ", then "), "")
	}
	return o.line("ok", "freed: "+strings.Join(names, ", then "), "")
}

func (o outlook) drained() checkup {
	p, err := drain.Capture([]drain.Volume{{Path: o.at.Mount.Point}})
	if err != nil {
		return o.line("warn", "drained: "+err.Error(), "")
	}
	defer func() { _ = p.Close() }() // of descriptors that were read from
	v := p.Outlook()[0]
	switch v.State {
	case drain.Drained:
		return o.line("ok", "drained: told after an end: "+v.Why, "")
	case drain.Kept:
		return o.line("warn", "drained: not while it stays mounted: "+v.Why, "let interlock mount it (device), or the next holder waits the settle time")
	}
	return o.line("warn", "drained: never told: "+v.Why, "the next holder waits the settle time; fence at the storage, or make settle long enough")
}

func (o outlook) fenced() checkup {
	agent := ""
	if o.cfg.Fence.Agent != "" {
		agent = "; the node by " + o.cfg.Fence.Agent
	}
	switch o.kind() {
	case "nfs":
		return o.line("ok", "fenced: at the server, by unexporting this client or read-only (docs/fencing.md)"+agent, "")
	case "nbd":
		return o.line("ok", "fenced: at the server, by dropping this client's connection (docs/fencing.md)"+agent, "")
	case "local":
		return o.line("ok", "fenced: not needed where only this machine reaches it"+agent, "")
	}
	if agent == "" {
		return o.line("warn", "fenced: neither this storage nor this node", "configure fence.agent, or fence.watchdog, where a holder that cannot be killed must not write")
	}
	return o.line("ok", "fenced: not at the storage"+agent, "")
}
