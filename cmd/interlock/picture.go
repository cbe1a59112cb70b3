package main

import (
	"cmp"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/health"
	"github.com/interlock-run/interlock/internal/lifecycle"
)

// turnLimit is how long the deciding loop may be silent before the run is called dead. It ticks several
// times a second and never waits.
const turnLimit = 10 * time.Second

// runStatus is /status: the run, and what was found around it at the start.
type runStatus struct {
	lifecycle.Status
	Warnings []finding `json:"warnings,omitempty"`
}

// picture is a run as the health server shows it.
func picture(r *lifecycle.Runner, found []finding) health.Picture {
	st := r.Status()
	return health.Picture{
		Live:  st.Turned.IsZero() || clock.Now().HolderSince(st.Turned) < turnLimit,
		Ready: st.Phase == lifecycle.Serving.String(),
		Phase: st.Phase, Status: runStatus{st, found}, Metrics: metrics(st, r.Beats()),
	}
}

func metrics(st lifecycle.Status, beats health.HistogramCounts) []health.Metric {
	token, _ := strconv.ParseFloat(st.Lock.Token, 64) // empty before the grant: 0
	phase := health.Metric{Name: "interlock_phase", Help: "1 for the phase of the run.", Type: "gauge"}
	for _, name := range lifecycle.PhaseNames() {
		phase.Samples = append(phase.Samples, health.Sample{Labels: []string{"phase", name}, Value: one(name == st.Phase)})
	}
	tries := health.Metric{Name: "interlock_heartbeats_total", Help: "Heartbeat tries by result.", Type: "counter"}
	for _, name := range lifecycle.OutcomeNames() {
		tries.Samples = append(tries.Samples, health.Sample{Labels: []string{"result", name}, Value: float64(st.Beats[name])})
	}
	mounts := health.Metric{Name: "interlock_mount_state", Help: "1 for the latest finding about a mount.", Type: "gauge"}
	probes := health.Metric{Name: "interlock_mount_probe_duration_seconds", Help: "How long the last probe of a mount took; absent before the first one.", Type: "gauge"}
	oom := health.Metric{Name: "interlock_oom_kills_total", Help: "Processes of the payload's memory cgroup that the kernel killed for lack of memory; absent where that is not known.", Type: "counter"}
	if st.Payload.OOMKills != nil {
		oom.Samples = []health.Sample{{Value: float64(*st.Payload.OOMKills)}}
	}
	for _, m := range st.Mounts {
		mounts.Samples = append(mounts.Samples, health.Sample{Labels: []string{"path", m.Path, "finding", m.Finding}, Value: 1})
		if m.Seconds > 0 {
			probes.Samples = append(probes.Samples, health.Sample{Labels: []string{"path", m.Path}, Value: m.Seconds})
		}
	}
	return append(slices.Concat(snapshotMetrics(st.Store), warmMetrics(st.Warm), deviceMetrics(st.Device)), []health.Metric{
		phase, health.Gauge("interlock_lock_held", "1 while the lock is held.", one(st.Lock.Held)),
		health.Gauge("interlock_lock_token", "Fencing token of this run.", token),
		health.Gauge("interlock_lease_remaining_seconds", "Time until the payload is killed without another heartbeat.", st.Lock.LeaseLeft),
		health.Gauge("interlock_lock_wait_seconds", "Time in the queue until the grant.", st.Lock.Waited),
		health.Gauge("interlock_late_writes_possible", "1 if an earlier holder's undrained writes may still arrive.", one(len(st.Lock.Undrained) > 0)),
		health.Gauge("interlock_stuck_processes", "Processes that were killed and are not dead.", float64(len(st.Stuck))),
		health.Gauge("interlock_drain_overdue", "1 while the storage is not drained within its budget and the lock is held for that.", one(st.Drain != "")),
		health.Gauge("interlock_resetting", "1 once this machine is to be reset, or could not be.", one(st.Reset != "")),
		volumeMetric(st.Volumes), leverMetric(st.EndStatus),
		health.Gauge("interlock_restore_seconds", "How long the restore of this run took; 0 if there was none.", st.Restored),
		oom, tries, health.Histogram("interlock_heartbeat_duration_seconds", "Duration of heartbeat tries.", beats), mounts, probes,
		{Name: "interlock_build_info", Help: "Version of the program.", Type: "gauge",
			Samples: []health.Sample{{Labels: []string{"version", thisBuild().Version, "go", runtime.Version()}, Value: 1}}},
	}...)
}

// volumeMetric is what each volume's end can come to, then what it has come to.
func volumeMetric(all []lifecycle.VolumeStatus) health.Metric {
	m := health.Metric{Name: "interlock_volume_drain", Help: "1 for what the end of a volume can come to, and once the payload is dead for what it has come to.", Type: "gauge"}
	for _, v := range all {
		m.Samples = append(m.Samples, health.Sample{Labels: []string{"path", v.Path, "state", cmp.Or(v.State, v.Outlook)}, Value: 1})
	}
	return m
}

func leverMetric(st lifecycle.EndStatus) health.Metric {
	return health.Metric{Name: "interlock_levers_total", Help: "Levers that were pulled to free what storage keeps, by result.", Type: "counter", Samples: []health.Sample{
		{Labels: []string{"result", "pulled"}, Value: float64(st.Levers - st.Failures)}, {Labels: []string{"result", "failed"}, Value: float64(st.Failures)},
	}}
}

// snapshotMetrics are those of a run with a store.
func snapshotMetrics(st *lifecycle.SnapshotStatus) []health.Metric {
	if st == nil {
		return nil
	}
	backups := health.Metric{Name: "interlock_backups_total", Help: "Backups of this run by result.", Type: "counter"}
	for _, name := range lifecycle.BackupResults() {
		backups.Samples = append(backups.Samples, health.Sample{Labels: []string{"result", name}, Value: float64(st.Counts[name])})
	}
	last := health.Metric{Name: "interlock_backup_last_success_timestamp_seconds", Help: "When the newest snapshot began, of this run or found in the store; absent where there is none.", Type: "gauge"}
	if st.Taken != nil {
		last.Samples = []health.Sample{{Value: float64(st.Taken.UnixMilli()) / 1000}}
	}
	return []health.Metric{
		backups, last,
		health.Gauge("interlock_backup_duration_seconds", "How long the last backup of this run took, published or not; 0 if there was none.", st.Seconds),
		{Name: "interlock_backup_bytes_total", Help: "Bytes that the snapshots of this run added to the store.", Type: "counter", Samples: []health.Sample{{Value: float64(st.Total)}}},
	}
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
