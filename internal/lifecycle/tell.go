package lifecycle

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/interlock-run/interlock/mountcheck/drain"
	"github.com/interlock-run/interlock/mountcheck/rescue"
)

// VolumeStatus is one mount that the payload can write to: what its end can come to, then what it has come to.
type VolumeStatus struct {
	Path    string   `json:"path"`
	Mount   string   `json:"mount"`
	Outlook string   `json:"outlook"` // after a good sync: drained, kept (mounted by the host), unknown
	Why     string   `json:"why,omitempty"`
	Levers  []string `json:"levers,omitempty"` // what can be done for a process that waits in it, see on_stuck
	Locked  string   `json:"levers_out_of_reach,omitempty"`
	// State is empty before the payload is dead; then drained, pending, kept, unknown, syncing.
	State string `json:"state,omitempty"`
	Now   string `json:"state_why,omitempty"`
}

func (v *volume) status(locked error) VolumeStatus {
	st := VolumeStatus{Path: v.path, Mount: v.mount.String(), Outlook: string(v.outlook.State), Why: v.outlook.Why}
	for _, l := range v.levers {
		st.Levers = append(st.Levers, l.String())
	}
	if locked != nil && len(st.Levers) > 0 {
		st.Locked = locked.Error()
	}
	switch {
	case v.end.syncing:
		st.State, st.Now = "syncing", "the sync has not returned"
	case v.end.verdict.State != "":
		st.State, st.Now = string(v.end.verdict.State), v.why()
	}
	return st
}

func (r *Runner) endStatus() EndStatus {
	d := &r.domain.drain
	st := EndStatus{Stuck: r.domain.stuck, Drain: d.overdue, Reset: d.relief.reset.line,
		Pulled: slices.Clone(d.relief.pulls), Levers: d.relief.count, Failures: d.relief.failed}
	for _, v := range d.volumes {
		st.Volumes = append(st.Volumes, v.status(d.locked))
	}
	return st
}

// outlookLimit bounds the look of those who only want to know.
const outlookLimit = 10 * time.Second

// Outlook is what a run of this plan can tell and free at its end, by the mounts as they are. A device that is not
// up yet is left out.
func Outlook(p Plan, log *slog.Logger) []VolumeStatus {
	r := &Runner{plan: p, ground: realGround(), log: log}
	ctx, cancel := context.WithTimeout(context.Background(), outlookLimit)
	defer cancel()
	locked := rescue.Privileged()
	var all []VolumeStatus
	for _, v := range r.volumes() {
		if p.Device.holds(v.path) {
			continue
		}
		r.domain.drain.volumes = append(r.domain.drain.volumes, v)
		if err := r.ground.capture(ctx, v, netip.AddrPort{}); err != nil && v.outlook.Why == "" {
			v.outlook.Why = oneLine(err)
		}
		all = append(all, v.status(locked))
	}
	r.closeVolumes()
	return all
}

// tell is the start's line of a volume.
func (v *volume) tell(log *slog.Logger, locked error) {
	level := slog.LevelInfo
	if v.outlook.State != drain.Drained {
		level = slog.LevelWarn
	}
	st := v.status(locked)
	args := []any{"volume", st.Path, "mount", st.Mount, "drained", st.Outlook, "why", st.Why, "levers", st.Levers}
	if st.Locked != "" {
		args = append(args, "out_of_reach", st.Locked)
	}
	log.Log(context.Background(), level, "storage at the end", args...)
}

// tellEnd is the line for each change of what is known of it at the end.
func (v *volume) tellEnd(log *slog.Logger) {
	level := slog.LevelInfo
	if v.end.verdict.State != drain.Drained {
		level = slog.LevelWarn
	}
	log.Log(context.Background(), level, "storage", "volume", v.path, "state", string(v.end.verdict.State), "why", v.end.verdict.Why)
}
