package testkit

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
)

// FaultRowsVar names a file to which every row is appended; `go test ./internal/docstest -update` makes the
// table in docs/mounts.md of it.
const FaultRowsVar = "INTERLOCK_FAULT_ROWS"

// faultRowMark is before each row in the log, for places from which no file comes back.
const faultRowMark = "FAULTROW "

// A FaultRow is what a run did at one fault of one filesystem.
type FaultRow struct {
	Place  string  `json:"place,omitempty"` // where it was measured if not on this kernel: vm
	FS     string  `json:"fs"`
	Fault  string  `json:"fault"`
	Policy string  `json:"policy"`         // kill, alert, ignore
	Found  string  `json:"found"`          // the finding, with what told it
	Seen   float64 `json:"seen,omitempty"` // seconds from the fault to the finding
	// Dead is how many seconds after the fault all of the payload was proven dead; 0 if the run went on.
	Dead float64 `json:"dead,omitempty"`
	// Freed is what had to come before SIGKILL ended the payload: healing, abort, force, disconnect. Empty: nothing.
	Freed string `json:"freed,omitempty"`
	Exit  int    `json:"exit"`
	End   string `json:"end"` // the phase on record after the end
}

// Emit says the row in the log, and appends it to the file that FaultRowsVar names.
func (r FaultRow) Emit(t testing.TB) {
	t.Helper()
	raw, err := json.Marshal(r)
	must(t, err)
	t.Logf("%s%s", faultRowMark, raw)
	path := setting(FaultRowsVar)
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	must(t, err)
	_, err = fmt.Fprintf(f, "%s\n", raw)
	must(t, err)
	must(t, f.Close())
}
