package supervise

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/process"
)

// Values of Settings.Isolate.
const (
	IsolateAuto   = "auto"
	IsolatePIDNS  = "pidns"
	IsolateCgroup = "cgroup"
	IsolateNone   = "none"
)

// A choice is a mode that works here, or why it does not.
type choice struct {
	killer  killer
	starter starter
	ns      *pidns // only for pidns
	domain  Domain
}

// choose tries the modes that isolate allows, best first, and takes the first that is there.
func (g *guard) choose(isolate string) (choice, error) {
	tries := map[string][]string{
		IsolateAuto: {ModePIDNS, ModePID1, ModeCgroup2, ModeCgroup1, ModeSubreaper}, "": {ModePIDNS, ModePID1, ModeCgroup2, ModeCgroup1, ModeSubreaper},
		IsolatePIDNS: {ModePIDNS, ModePID1}, IsolateCgroup: {ModeCgroup2, ModeCgroup1}, IsolateNone: {ModeSubreaper},
	}[isolate]
	if tries == nil {
		return choice{}, errors.New("isolate is " + isolate + ": expected auto, pidns, cgroup or none")
	}
	if tries[0] != ModePIDNS {
		g.dropEarly()
	}
	var why []string
	for _, mode := range tries {
		c, err := g.try(mode)
		if err == nil {
			c.domain.Mode, c.domain.Misses, c.domain.Why = mode, misses(mode), because(isolate, why)
			return c, nil
		}
		why = append(why, mode+": "+err.Error())
	}
	return choice{}, errors.New("isolate " + isolate + " is not possible here (" + strings.Join(why, "; ") + "): use isolate auto, or grant what is missing")
}

func because(isolate string, failed []string) string {
	switch {
	case isolate != IsolateAuto && isolate != "":
		return "isolate is " + isolate
	case len(failed) == 0:
		return "the best way there is"
	}
	return "the best that works here; not possible: " + strings.Join(failed, "; ")
}

// try sets up one mode.
func (g *guard) try(mode string) (choice, error) {
	all := brood{agent: g.agent, looks: &process.Lookout{}, whole: os.Getpid() == 1 && mode == ModePID1}
	c := choice{killer: all, starter: local{g.nursery}}
	if err := process.OwnView(); err != nil {
		return c, err
	}
	switch mode {
	case ModePIDNS:
		return g.tryNamespace()
	case ModePID1:
		if os.Getpid() != 1 {
			return c, errNotPID1
		}
	case ModeCgroup2, ModeCgroup1:
		group, err := makeCgroup(mode == ModeCgroup1, all)
		if err != nil {
			return c, err
		}
		c.killer, c.domain.Cgroup = group, group.dir
	}
	return c, nil
}

var errNotPID1 = errors.New("not PID 1")

// tryNamespace makes the first namespace: nothing else tells whether it will work.
func (g *guard) tryNamespace() (choice, error) {
	ns := g.takeEarly()
	if ns == nil {
		ns = g.newNamespace()
		in, err := ns.launch()
		if err != nil && ns.user {
			return choice{}, errors.Join(errors.New("a user and PID namespace is refused"), err)
		}
		if err != nil {
			return choice{}, err
		}
		ns.now = in
		ns.watch(in)
	}
	if err := ns.equip(); err != nil {
		g.early = ns
		g.dropEarly()
		return choice{}, err
	}
	return choice{killer: ns, starter: ns, ns: ns, domain: ns.describe()}, nil
}

func (g *guard) newNamespace() *pidns {
	return &pidns{nursery: g.nursery, announce: g.announce, watch: g.watchInit, user: os.Geteuid() != 0}
}

// becomeSubreaper makes orphans ours; as PID 1 they are anyway.
func becomeSubreaper() error {
	return os.NewSyscallError("prctl PR_SET_CHILD_SUBREAPER", unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
}
