package judge

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// say makes a log line: milliseconds, token, host, pid, event.
func say(ms int, token int, host string, pid int, event string) string {
	return fmt.Sprintf("%d boot-a %d %s %d %s\n", ms*1e6, token, host, pid, event)
}

const ms = time.Millisecond

// TestJudge: each rule is broken by a log made by hand, beside the nearest one that breaks none.
func TestJudge(t *testing.T) {
	first := say(1, 7, "a.1", 2, "begin") + say(6, 7, "a.1", 2, "tick")
	cases := []struct {
		name   string
		log    string
		stalls []Stall
		want   []Kind
	}{
		{"two tenures in order", first + say(7, 9, "b.1", 2, "begin") + say(12, 9, "b.1", 2, "tick"), nil, nil},
		{"a tree", first + say(7, 7, "a.1", 3, "join") + say(8, 7, "a.1", 2, "end") + say(12, 7, "a.1", 3, "tick"), nil, nil},
		{"an empty log", "", nil, nil},
		{"intervals intersect, the older writes first", first + say(5, 9, "b.1", 2, "begin"), nil, []Kind{Overlap}},
		{"intervals touch", first + say(6, 9, "b.1", 2, "begin"), nil, []Kind{Overlap}},
		{"the older ticks on", first + say(7, 9, "b.1", 2, "begin") + say(11, 7, "a.1", 2, "tick"), nil, []Kind{Late, Overlap}},
		{"a late write with an early stamp", first + say(9, 9, "b.1", 2, "begin") + say(8, 7, "a.1", 2, "tick"), nil, []Kind{Late}},
		{"a member outlives its root", first + say(7, 7, "a.1", 3, "join") + say(8, 7, "a.1", 2, "end") + say(9, 9, "b.1", 2, "begin") + say(10, 7, "a.1", 3, "tick"), nil, []Kind{Late, Overlap}},
		{"three, the first outlives the second", first + say(7, 8, "b.1", 2, "begin") + say(8, 9, "c.1", 2, "begin") + say(9, 7, "a.1", 2, "tick"), nil, []Kind{Late, Overlap, Overlap}},
		{"a token goes back", first + say(9, 5, "b.1", 2, "begin"), nil, []Kind{Backward, Late}},
		{"a token twice by the same start", first + say(9, 7, "a.1", 5, "begin"), nil, []Kind{TwoTrees}},
		{"a token twice by two starts", first + say(9, 7, "a.2", 2, "begin"), nil, []Kind{TwoTrees}},
		{"a member of another start", first + say(9, 7, "b.1", 5, "tick"), nil, []Kind{TwoTrees}},
		{"no begin", say(1, 7, "a.1", 2, "tick"), nil, []Kind{Garbled}},
		{"a torn end", first + "9000000 boot-a 7", nil, []Kind{Garbled}},
		{"two lines in one", first + strings.TrimSpace(say(7, 7, "a.1", 2, "tick")) + say(8, 7, "a.1", 2, "tick"), nil, []Kind{Garbled}},
		{"an empty line", first + "\n", nil, []Kind{Garbled}},
		{"an unknown event", first + say(9, 7, "a.1", 2, "tock"), nil, []Kind{Garbled}},
		{"token 0", say(1, 0, "a.1", 2, "begin"), nil, []Kind{Garbled}},
		{"another boot", first + "9000000 boot-b 7 a.1 2 tick\n", nil, []Kind{Garbled}},
		{"a stamp goes back", first + say(5, 7, "a.1", 2, "tick"), nil, []Kind{Garbled}},
		{"stalled across the deadline", first + say(4000, 9, "b.1", 2, "begin") + say(5400, 7, "a.1", 2, "tick"),
			[]Stall{{"a.1", 100 * ms, 5000 * ms}}, nil},
		{"stalled, but too long after", first + say(4000, 9, "b.1", 2, "begin") + say(5501, 7, "a.1", 2, "tick"),
			[]Stall{{"a.1", 100 * ms, 5000 * ms}}, []Kind{Stalled, Overlap}},
		{"another one was stalled", first + say(4000, 9, "b.1", 2, "begin") + say(5400, 7, "a.1", 2, "tick"),
			[]Stall{{"c.1", 100 * ms, 5000 * ms}}, []Kind{Late, Overlap}},
		{"stalled long before", first + say(4000, 9, "b.1", 2, "begin") + say(4001, 7, "a.1", 2, "tick"),
			[]Stall{{"a.1", 2 * ms, 3 * ms}}, []Kind{Late, Overlap}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v, err := File(strings.NewReader(c.log), Rules{Stalls: c.stalls, KillBudget: 500 * ms})
			if err != nil {
				t.Fatal(err)
			}
			var got []Kind
			for _, w := range v.Violations {
				got = append(got, w.Kind)
			}
			slices.Sort(got)
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("%v, expected %v", v.Violations, c.want)
			}
			if excused := len(c.stalls) > 0 && len(c.want) == 0; excused != (len(v.Excesses) == 1) {
				t.Errorf("reported apart: %v", v.Excesses)
			}
		})
	}
}

// TestExcess: the length of what a stalled tree wrote is counted from the end of its stall.
func TestExcess(t *testing.T) {
	log := say(1, 7, "a.1", 2, "begin") + say(4000, 9, "b.1", 2, "begin") + say(5010, 7, "a.1", 2, "tick") + say(5400, 7, "a.1", 2, "tick")
	v, err := File(strings.NewReader(log), Rules{Stalls: []Stall{{"a.1", 100 * ms, 5000 * ms}}, KillBudget: 500 * ms})
	if err != nil || len(v.Excesses) != 1 || v.Excesses[0] != (Excess{7, "a.1", 400 * ms}) {
		t.Errorf("%+v, %v", v.Excesses, err)
	}
}

func TestMargins(t *testing.T) {
	log := say(1, 7, "a.1", 2, "begin") + say(6, 7, "a.1", 2, "end") + say(10, 9, "b.1", 2, "begin") + say(40, 11, "c.1", 2, "begin")
	v, err := File(strings.NewReader(log), Rules{})
	if err != nil || v.Margins.String() != "n 2  min 4.0  median 4.0  max 30.0 ms" {
		t.Errorf("%v, %v", v.Margins, err)
	}
	if !v.Tenures[0].Ended || v.Tenures[1].Ended {
		t.Errorf("%+v", v.Tenures)
	}
}

func TestTable(t *testing.T) {
	var sample []time.Duration
	for i := range 101 {
		sample = append(sample, time.Duration(100-i)*ms)
	}
	if got := Summarise(sample).String(); got != "n 101  p0 0.0  p1 1.0  p50 50.0  p99 99.0  max 100.0 ms" {
		t.Error(got)
	}
	if got := Summarise(sample[:29]).String(); strings.Contains(got, "p99") {
		t.Errorf("%s has percentiles of 29", got)
	}
	if got := Summarise(nil).String(); got != "n 0" {
		t.Error(got)
	}
}

func TestFaults(t *testing.T) {
	log := "100 1 begin kill-guard a.1 -\n200 1 end kill-guard a.1 -\n300 2 begin freeze b.1 stall\n400 2 end freeze b.1 stall\n500 3 begin cut - -\n"
	faults, err := ReadFaults(strings.NewReader(log))
	if err != nil || len(faults) != 3 || faults[2].Heal != 0 {
		t.Fatalf("%+v, %v", faults, err)
	}
	if s := Stalls(faults); len(s) != 1 || s[0] != (Stall{"b.1", 300, 400}) {
		t.Errorf("%+v", s)
	}
	tenures := []Tenure{{Token: 1, First: 50, Last: 150}, {Token: 2, First: 260, Last: 1000}}
	got := Outcomes(faults, tenures, 100)
	if len(got) != 2 || got[0].Kept || !got[0].Began || got[0].After != 60 || !got[1].Kept || got[1].Began {
		t.Errorf("%+v", got)
	}
	between := []Fault{{Begin: 100, Heal: 200}, {Begin: 50 * ms, Heal: 60 * ms}}
	if got := Outcomes(between, []Tenure{{First: 50, Last: 100 * ms}, {First: 105 * ms, Last: 5 * time.Second}}, time.Second); !got[0].Kept || got[1].Kept {
		t.Errorf("a holder that only the next fault ended: %+v", got)
	}
	for _, bad := range []string{"100 1 begin x a.1\n", "100 1 end x a.1 -\n", "x 1 begin x a.1 -\n", "100 1 begin x - -\n100 1 begin x - -\n"} {
		if _, err := ReadFaults(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
