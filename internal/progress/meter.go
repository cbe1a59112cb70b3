package progress

import "time"

// span is how far back the rate looks: long enough to be calm, short enough to follow.
const span = 10 * time.Second

// A meter remembers the last states, for the rate.
type meter struct {
	began time.Time
	seen  []moment
}

type moment struct {
	at    time.Time
	bytes int64
}

func newMeter(began time.Time) *meter {
	return &meter{began: began, seen: []moment{{at: began}}}
}

// report turns a state into what is shown. A stage that begins anew (fewer bytes than before) is measured
// from there.
func (m *meter) report(now time.Time, s State) Report {
	r := Report{Stage: s.Stage, Entries: s.Entries, Bytes: s.Bytes, Stored: s.Stored, Elapsed: now.Sub(m.began).Seconds()}
	if s.Total >= s.Bytes {
		r.Total = s.Total
	}
	if last := m.seen[len(m.seen)-1]; s.Bytes < last.bytes {
		m.seen = m.seen[:0]
	}
	m.seen = append(m.seen, moment{now, s.Bytes})
	for len(m.seen) > 2 && now.Sub(m.seen[1].at) >= span {
		m.seen = m.seen[1:]
	}
	first := m.seen[0]
	if passed := now.Sub(first.at).Seconds(); passed > 0 {
		r.Rate = int64(float64(s.Bytes-first.bytes) / passed)
	}
	if r.Rate > 0 && r.Total > 0 {
		r.Left = float64(r.Total-s.Bytes) / float64(r.Rate)
	}
	if r.Left > leftMost.Seconds() {
		r.Left = 0
	}
	return r
}

// leftMost is the most that is told: a total that counts holes would come to years.
const leftMost = 30 * 24 * time.Hour
