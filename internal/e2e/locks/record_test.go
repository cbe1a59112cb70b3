package locks

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
)

// A record is what tests read of the state record.
type record struct {
	V        int
	Token    string
	Holder   string
	Phase    string
	WaitMS   int64 `json:"wait_ms"`
	SettleMS int64 `json:"settle_ms"`
	Owes     []json.RawMessage
}

// read gives the record; there must be one.
func (r *rig) read(t testing.TB) record {
	t.Helper()
	data, ok := r.Record(t)
	if !ok {
		t.Fatal("there is no state record")
	}
	var rec record
	if err := json.Unmarshal([]byte(data), &rec); err != nil {
		t.Fatalf("%q: %v", data, err)
	}
	return rec
}

// waitRecord waits until there is a record.
func (r *rig) waitRecord(t testing.TB) record {
	t.Helper()
	testkit.Wait(t, 10*time.Second, func() (bool, string) {
		_, ok := r.Record(t)
		return ok, "no state record"
	})
	return r.read(t)
}
