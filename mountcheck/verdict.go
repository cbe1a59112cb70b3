package mountcheck

import (
	"fmt"
	"time"
)

// paced counts how long a probe took, and finds what answers well but slowly.
func (t *target) paced(f Finding, took time.Duration) Finding {
	if f.Kind == Hung || f.Kind == Unknown {
		return f
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state.took = took
	t.state.pace.add(took)
	if text := t.want.slow(t.state.pace); text != "" {
		return worse(f, t.want.rule(finding(t.want.Path, Slow, text)))
	}
	return f
}

func (t *target) setLife(f Finding, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &t.state
	t.rememberLocked(f, now)
	s.life = f
	s.looks++
	if !t.want.patient(f.Kind) {
		s.badSince = time.Time{}
	} else if s.badSince.IsZero() {
		s.badSince = now
	}
}

// rememberLocked keeps what counted while good answers are young.
func (t *target) rememberLocked(f Finding, now time.Time) {
	s := &t.state
	if counted := s.life; f.Kind == OK && counted.Kind != OK && counted.Kind != Unknown && t.patienceLocked(now) <= 0 {
		s.past = counted
	}
	switch {
	case f.Kind != OK:
		s.goodFrom = time.Time{}
	case s.goodFrom.IsZero():
		s.goodFrom = now
	}
	if f.Kind == OK && now.Sub(s.goodFrom) >= t.want.RecoverAfter {
		s.past = Finding{}
	}
}

// verdict is the finding that counts now.
func (t *target) verdict(now time.Time) Finding {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.verdictLocked(now)
}

// plain is the latest finding without patience: for a start, a bad answer counts at once.
func (t *target) plain() Finding {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.withTableLocked(t.state.life)
}

func (t *target) verdictLocked(now time.Time) Finding {
	s := &t.state
	f := s.life
	left := t.patienceLocked(now)
	switch {
	case s.past.Kind != "" && (left > 0 || f.Kind == OK):
		f = s.past
		f.Detail += fmt.Sprintf("; over when answers have been good for %s", t.want.RecoverAfter)
	case left > 0:
		f = finding(f.Path, Unknown, fmt.Sprintf("%s: %s; counts if it lasts %s more", f.Kind, f.Detail, left.Round(time.Millisecond)))
	}
	return t.withTableLocked(f)
}

// withTableLocked is the worse of what the mount table and the helper say.
func (t *target) withTableLocked(life Finding) Finding {
	table := t.want.rule(t.state.table)
	if t.blockedLocked() {
		return table
	}
	f := worse(life, table)
	if life.Kind == Unknown && table.Kind != OK {
		f = table
	}
	f.Took = t.state.took
	return f
}

// patienceLocked is how long a bad answer may still last before it counts.
func (t *target) patienceLocked(now time.Time) time.Duration {
	if t.state.badSince.IsZero() || !t.want.patient(t.state.life.Kind) {
		return 0
	}
	return t.want.FailAfter - now.Sub(t.state.badSince)
}
