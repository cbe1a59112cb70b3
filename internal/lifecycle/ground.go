package lifecycle

import (
	"slices"
	"time"

	"github.com/interlock-run/interlock/internal/courier"
	"github.com/interlock-run/interlock/internal/process"
	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/mountcheck/drain"
	"github.com/interlock-run/interlock/mountcheck/rescue"
)

// A ground is the machine as the end of a run asks it. Nothing of it touches a mount; tests put another in its
// place.
type ground struct {
	paths   func(Plan) (named, others []string) // that the payload may write to
	trace   func(path string) (mountcheck.Mount, error)
	mounted func(mountcheck.Mount) (bool, error)
	drain   func(drain.Volume) (quiet, error)
	rescue  func(path string) ([]rescue.Lever, levers, error)
	asleep  func(pids []int) bool
	reset   func() error
	cut     func(*Runner, courier.Request, []string) error // takes the device away from who is no holder any more
}

// quiet is what is known of one volume since it was right: drain.Plan.
type quiet interface {
	Check(map[string]drain.Evidence) []drain.Verdict
	Outlook() []drain.Verdict
	Local(path string) bool
	Earlier(path string) bool
	Close() error
}

// levers is what can be pulled for one volume: rescue.Plan.
type levers interface {
	Pull(l rescue.Lever, limit time.Duration) error
	Close() error
}

func realGround() ground {
	return ground{
		paths: Plan.reached, trace: mountcheck.Trace, mounted: mountcheck.Mounted, asleep: asleep, reset: rescue.Reset, cut: (*Runner).runCut,
		drain: func(v drain.Volume) (quiet, error) {
			p, err := drain.Capture([]drain.Volume{v})
			if err != nil {
				return nil, err
			}
			return p, nil
		},
		rescue: func(path string) ([]rescue.Lever, levers, error) {
			p, err := rescue.Capture([]string{path})
			if err != nil {
				return nil, nil, err
			}
			return p.Levers, p, nil
		},
	}
}

// reached are the paths that the payload may write to, with what is mounted below: data there does not arrive at the
// mount above. Below a mount that is named beside a data directory others have theirs. What cannot be read now is not
// traced either, and unknown.
func (p Plan) reached() (named, others []string) {
	named, others = p.writable()
	roots := []string{p.Data}
	if p.Data == "" {
		roots = named
	}
	for _, root := range roots {
		if root == "/" {
			continue
		}
		below, err := mountcheck.Below(root)
		if err != nil {
			return named, append(others, root)
		}
		for _, m := range below {
			others = append(others, m.Point)
		}
	}
	return named, others
}

// asleep tells whether one of these processes has a thread in uninterruptible sleep: what merely takes its
// time to end (a large memory to give back) is freed by no lever.
func asleep(pids []int) bool { return slices.ContainsFunc(pids, process.Asleep) }
