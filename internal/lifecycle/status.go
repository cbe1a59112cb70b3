package lifecycle

import (
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/health"
	"github.com/interlock-run/interlock/lock"
	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/restore"
)

// Status is a run as seen from outside, as /status shows it. Durations are seconds.
type Status struct {
	Phase   string        `json:"phase"`
	Since   time.Time     `json:"since"`
	Lock    LockStatus    `json:"lock"`
	Payload PayloadStatus `json:"payload"`
	Mounts  []MountStatus `json:"mounts"`
	DataStatus
	KillMode string `json:"kill_mode"`
	Misses   string `json:"kill_mode_misses,omitempty"`
	EndStatus
	Beats  map[string]int `json:"heartbeats"`
	Turned clock.Stamp    `json:"-"` // when the loop last turned
}

// DataStatus is what became of the data, shown among the fields of Status.
type DataStatus struct {
	Restore  *restore.Decision `json:"restore,omitempty"`
	Restored float64           `json:"restore_seconds,omitempty"` // how long the restore took
	Store    *SnapshotStatus   `json:"snapshots,omitempty"`
	Warm     *WarmStatus       `json:"warming,omitempty"`
	Device   *DeviceStatus     `json:"device,omitempty"`
}

// EndStatus is how the end goes on, shown among the fields of Status.
type EndStatus struct {
	Stuck  []int    `json:"stuck,omitempty"`         // killed, but not dead
	Drain  string   `json:"drain_overdue,omitempty"` // one line while it takes longer than its budget
	Pulled []string `json:"levers_pulled,omitempty"` // to free what is stuck, and what came of it
	Reset  string   `json:"reset,omitempty"`         // one line, once this machine is to be reset
	// Levers counts those that were pulled, Failures those of them that were of no use.
	Levers   int `json:"levers,omitempty"`
	Failures int `json:"levers_failed,omitempty"`
	// Volumes are the mounts that the payload can write to, and what their end can come to; empty before the lease.
	Volumes []VolumeStatus `json:"volumes,omitempty"`
	Verdict string         `json:"verdict,omitempty"`
}

// LockStatus is the holder's or contender's side of the lock.
type LockStatus struct {
	Name        string   `json:"name"`
	Holder      string   `json:"holder"`
	Held        bool     `json:"held"`
	Token       string   `json:"token,omitempty"`
	HoldOffLeft float64  `json:"hold_off_left_seconds,omitempty"`
	LeaseLeft   float64  `json:"lease_left_seconds"`
	LastBeatAgo float64  `json:"last_heartbeat_seconds_ago"`
	FailedTries int      `json:"failed_tries"`
	Ahead       string   `json:"ahead,omitempty"` // who is ahead of us in the queue
	Undrained   []string `json:"late_writes_possible,omitempty"`
	Fencing     string   `json:"fencing,omitempty"` // one line on what a fence agent does, or came to, in this hold-off
	Waited      float64  `json:"waited_seconds"`    // for the grant
	// Findings are what is known to be wrong with the service's servers.
	Findings []string `json:"service_findings,omitempty"`
}

// PayloadStatus is the process that the run is about.
type PayloadStatus struct {
	PID     int        `json:"pid,omitempty"` // as seen from outside
	Started *time.Time `json:"started,omitempty"`
	// OOMKills is how many processes of the memory cgroup the kernel killed for lack of memory since the
	// start; not there where that is not known.
	OOMKills *uint64 `json:"oom_kills,omitempty"`
}

// MountStatus is the latest finding about one mount.
type MountStatus struct {
	Path    string `json:"path"`
	Finding string `json:"finding"`
	Policy  string `json:"policy,omitempty"`
	Detail  string `json:"detail,omitempty"`
	// Seconds is how long the last probe took that came to its end.
	Seconds float64 `json:"probe_seconds,omitempty"`
}

// seen is what others look at while the loop decides.
type seen struct {
	at clock.Stamp
	probing
	decision *restore.Decision
	waited   time.Duration
	// restoreTook is how long the restore took; zero while it has not ended well.
	restoreTook time.Duration
	observe     func(Phase, Status)
	shared
}

// shared is the part of seen that others read; the mutex guards it.
type shared struct {
	mu     sync.Mutex
	status Status
	beats  [lock.Refused + 1]int
	// snapshots is changed by couriers' lines, too.
	snapshots SnapshotStatus
	warming   *WarmStatus
	took      health.HistogramCounts
	ahead     lock.Waiter
	fencing   string
}

// Status is the latest picture; it never blocks on anything but the copy.
func (r *Runner) Status() Status {
	r.seen.mu.Lock()
	defer r.seen.mu.Unlock()
	return r.seen.status
}

// Beats are the durations of all heartbeats so far.
func (r *Runner) Beats() health.HistogramCounts {
	r.seen.mu.Lock()
	defer r.seen.mu.Unlock()
	return r.seen.took
}

// beat counts one try of a heartbeat; called by the tenure's goroutine.
func (s *seen) beat(o lock.Outcome, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o >= 0 && int(o) < len(s.beats) {
		s.beats[o]++
	}
	s.took.Add(took)
}

// OutcomeNames lists the results of heartbeat tries, for metrics.
func OutcomeNames() []string { return outcomeNames }

var outcomeNames = []string{"ambiguous", "committed", "key_gone", "moved", "missing", "refused"}

func (s *shared) beatCounts() map[string]int {
	m := map[string]int{}
	for i, n := range s.beats {
		m[outcomeNames[i]] = n
	}
	return m
}

// queuedBehind logs who is ahead in the queue, once for each.
func (s *seen) queuedBehind(log *slog.Logger) func(lock.Waiter) {
	return func(w lock.Waiter) {
		s.mu.Lock()
		changed := s.ahead != w
		s.ahead = w
		s.mu.Unlock()
		if changed && w != (lock.Waiter{}) {
			log.Info("waiting", "behind", w.Holder, "token", w.Token, "key", w.Key)
		}
	}
}

// badMount names a mount that is lost, empty if none is.
func (s *seen) badMount() string {
	if s.mounts == nil {
		return ""
	}
	for _, f := range s.mounts.State() {
		if f.Fatal() {
			return f.Path
		}
	}
	return ""
}

// bad tells whether the watch has found anything wrong with a mount.
func (s *seen) bad(point string) bool {
	return s.mounts != nil && slices.ContainsFunc(s.mounts.State(), func(f mountcheck.Finding) bool {
		return f.Path == point && f.Fatal()
	})
}

// show replaces the picture, and gives it to who observes. It reads only memory.
func (r *Runner) show() {
	st := Status{
		Phase: r.phase.String(), Since: r.step.since, KillMode: r.domain.info.Mode, Misses: r.domain.info.Misses,
		EndStatus: r.endStatus(), DataStatus: DataStatus{Restore: r.seen.decision, Restored: r.seen.restoreTook.Seconds(), Device: r.deviceStatus()}, Lock: r.lockStatus(), Turned: r.clock(),
		Payload: PayloadStatus{PID: r.domain.payload.pid},
	}
	if !r.domain.payload.started.IsZero() {
		st.Payload.Started = &r.domain.payload.started
		st.Payload.OOMKills = r.domain.payload.memory.kills()
	}
	if r.seen.mounts != nil {
		for _, f := range r.seen.mounts.State() {
			st.Mounts = append(st.Mounts, MountStatus{Path: f.Path, Finding: string(f.Kind), Policy: string(f.Policy), Detail: f.Detail, Seconds: f.Took.Seconds()})
		}
	}
	if r.verdict != nil {
		st.Verdict = r.verdict.Reason
	}
	r.seen.publish(&st, r.phase == Locking, r.plan.Store.Errand.Store.URL)
	if r.seen.observe != nil {
		r.seen.observe(r.phase, st)
	}
}

// publish completes the picture from what is shared, and shares it.
func (s *shared) publish(st *Status, queued bool, store string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Beats, st.Store, st.Warm = s.beatCounts(), s.copySnapshots(store), s.warming
	st.Lock.Fencing = s.fencing
	if queued {
		st.Lock.Ahead = s.ahead.Holder
	}
	s.status = *st
}

func (r *Runner) lockStatus() LockStatus {
	ls := LockStatus{Name: r.plan.Lock.Name, Holder: r.plan.Lock.Options.Holder, Findings: findings(r.plan.Lock.Driver)}
	if r.hold.tenure == nil {
		ls.Waited = r.clock().HolderSince(r.seen.at).Seconds()
		return ls
	}
	s := r.hold.tenure.Status()
	ls.Held, ls.Token, ls.Undrained = s.Lost == nil && r.phase != Finished, s.Token.String(), s.Undrained
	ls.HoldOffLeft, ls.LeaseLeft = s.HoldOffLeft.Seconds(), s.LeaseLeft.Seconds()
	ls.LastBeatAgo, ls.FailedTries, ls.Waited = s.LastAckAgo.Seconds(), s.FailedTries, r.seen.waited.Seconds()
	return ls
}

// findings are the driver's, if it has any; asking never blocks.
func findings(d lock.Driver) []string {
	a, ok := d.(lock.Advisor)
	if !ok {
		return nil
	}
	var all []string
	for _, f := range a.Findings() {
		all = append(all, f.What)
	}
	return all
}

func (r *Runner) debug(msg string, args ...any) { r.log.Debug(msg, args...) }
