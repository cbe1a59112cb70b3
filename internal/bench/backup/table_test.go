package backup

import (
	"errors"
	"strings"
	"testing"
)

func row(name string, wall, stored float64) *Row {
	r := NewRow(name)
	for i := range 3 {
		r.Add(Figure{Wall: wall * float64(i+1), Stored: stored})
	}
	return r
}

// TestTable: ratios are made round by round, aims are judged, and what failed or is absent has no figures.
func TestTable(t *testing.T) {
	failed, absent := row("borg", 5, 5), NewRow("rclone")
	failed.Fail(errors.New("differs"))
	absent.Absent = "not installed"
	var out strings.Builder
	err := Table(&out, "restore", []*Row{row("ours", 1, 1), row("restic", 3, 4), failed, absent}, []Aim{
		{Against: "restic", Times: 2.5}, {Against: "restic", Times: 3.5}, {Against: "restic", Bytes: 0.3},
		{Against: "borg", Times: 1}, {Seconds: 1.5}, {Seconds: 2.5}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"3.00 (3.00 to 3.00)x", "borg: FAILED: differs", "rclone: absent: not installed",
		"2.5 times the speed of restic: 3.00: met", "3.5 times the speed of restic: 3.00: MISSED", "restic: 0.25: met",
		"NOT MEASURED: there are no figures of borg", "1.5 s: 2.000 s: MISSED", "2.5 s: 2.000 s: met"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "15.00") {
		t.Errorf("figures of a program that failed:\n%s", out.String())
	}
}
