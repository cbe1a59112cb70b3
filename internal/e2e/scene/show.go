package scene

import (
	"encoding/json"
	"testing"
)

// ShowLock reads what `interlock lock show --json` says into a struct that has the wanted fields.
func (s *Scene) ShowLock(t testing.TB, into any) {
	t.Helper()
	code, out, errs := Interlock(t, "lock", "show", "--json", "--lock", s.Lock)
	if err := json.Unmarshal([]byte(out), into); err != nil || code != 0 {
		t.Fatalf("lock show: %d, %v: %s%s", code, err, out, errs)
	}
}

// RecordedPhase is the phase on record; empty where there is none.
func (s *Scene) RecordedPhase(t testing.TB) string {
	t.Helper()
	var shown struct{ Record struct{ Phase string } }
	s.ShowLock(t, &shown)
	return shown.Record.Phase
}
