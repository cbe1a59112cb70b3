// Package measured is the table of docs/mounts.md: what a run makes of each fault of each filesystem that
// could be run, as its tests measured it.
//
// Promise: a test that reports a row fails unless the finding, its policy, what ended the payload, the exit
// code and the record's last phase are those of the table; the document shows that table. Non-promise: the
// times are those of one run on one machine and are not compared. Imported by tests only, and it imports
// nothing of the product.
//
// To measure again, or to add a row: run its test with -v, which prints each row as one line also when it
// fails, keep the output in a file, and `go test ./internal/measured -update FILE`.
package measured

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// A Row is one fault of one filesystem, below a payload that writes and syncs all the time. In the table
// Finding, Freed and End may be several, separated by "|": where the race of two clocks decides.
type Row struct {
	Filesystem string `json:"filesystem"` // with what matters of its options: "NFS 4.2, hard"
	Fault      string `json:"fault"`
	Finding    string `json:"finding"` // of the mount
	Found      Secs   `json:"found"`   // since the fault
	Policy     string `json:"policy"`  // kill, alert, ignore
	Freed      string `json:"freed"`   // what it took to end the payload: empty for SIGKILL or less, "heal", "force", …
	Dead       Secs   `json:"dead"`    // since the fault, or since that
	Code       int    `json:"code"`    // of the run
	End        string `json:"end"`     // the record's last phase: drained, dead, or held
	Note       string `json:"note,omitempty"`
}

// Secs is a time in seconds, to a hundredth.
type Secs float64

// Since is the time since then.
func Since(then time.Time) Secs { return Seconds(time.Since(then)) }

// Seconds rounds.
func Seconds(d time.Duration) Secs { return Secs(math.Round(d.Seconds()*100) / 100) }

// mark begins a line with a row, among whatever else a test prints.
const mark = "measured: "

// Report prints the row and fails the test unless the table has it.
func Report(t testing.TB, r Row) {
	t.Helper()
	line, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(os.Stdout, "\n%s%s\n", mark, line)
	table, err := parse(rows)
	if err != nil {
		t.Fatal(err)
	}
	if wrong := r.differs(table); wrong != "" {
		t.Errorf("%s, %s: %s (measured anew? go test ./internal/measured -update FILE)", r.Filesystem, r.Fault, wrong)
	}
}

//go:embed rows.jsonl
var rows string

// parse reads rows, one a line.
func parse(text string) ([]Row, error) {
	var all []Row
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	for {
		var r Row
		err := d.Decode(&r)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("rows.jsonl, after %d rows: %w", len(all), err)
		}
		all = append(all, r)
	}
}

// differs says what is not as in the table, empty if all is.
func (r Row) differs(table []Row) string {
	i := slices.IndexFunc(table, r.same)
	if i < 0 {
		return "there is no such row"
	}
	want := table[i]
	var wrong []string
	for _, c := range []struct{ what, got, want string }{
		{"finding", r.Finding, want.Finding}, {"policy", r.Policy, want.Policy}, {"freed by", r.Freed, want.Freed},
		{"exit code", fmt.Sprint(r.Code), fmt.Sprint(want.Code)}, {"record", r.End, want.End},
	} {
		if !allows(c.want, c.got) {
			wrong = append(wrong, fmt.Sprintf("%s %q, not %q", c.what, c.got, c.want))
		}
	}
	return strings.Join(wrong, "; ")
}

func (r Row) same(o Row) bool { return r.Filesystem == o.Filesystem && r.Fault == o.Fault }

func allows(several, one string) bool { return slices.Contains(strings.Split(several, "|"), one) }
