package bench

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func filled(name string, values ...float64) *Sample {
	s := NewSample(name)
	for _, v := range values {
		s.Add(v, nil)
	}
	return s
}

func TestMedian(t *testing.T) {
	for want, s := range map[float64]*Sample{
		3: filled("one", 3), 2.5: filled("even", 4, 1, 2, 3), 7: filled("odd", 9, 7, 1),
	} {
		if got := s.Median(); got != want {
			t.Errorf("%s: %v, want %v", s.name, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	many := NewSample("many")
	for i := range enough {
		many.Add(float64(i), nil)
	}
	bare, broken := filled("bare", 1, 2, 3), filled("broken", 1, 2)
	broken.Add(0, errors.New("exit 69"))
	broken.Add(0, errors.New("later"))
	var out bytes.Buffer
	if err := Table(&out, "start", "ms", bare, bare, many, broken, Absent("tini", "not installed"), NewSample("none")); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(out.String()) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	want := []string{"", "start, ms", "n min median p90 max over bare", "bare 3 1.00 2.00 - 3.00 -",
		"many 30 0.00 14.50 26.10 29.00 +12.50", "broken: FAILED: round 3: exit 69", "tini: absent: not installed",
		"none: FAILED: no round was run"}
	if strings.Join(lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

func TestNoFiguresAfterAFailedBase(t *testing.T) {
	bare := filled("bare", 1)
	bare.Add(0, errors.New("x"))
	if row := filled("other", 5).row(bare); !strings.HasSuffix(row, "\t-\t") {
		t.Errorf("row %q compares with a row that failed", row)
	}
}
