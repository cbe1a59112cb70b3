package judge

import (
	"io"
	"slices"
	"time"
)

// Rules are what the judge must be told: which trees were stopped as a whole, and for how long they may go
// on afterwards.
type Rules struct {
	Stalls     []Stall
	KillBudget time.Duration
}

// A Stall is a time in which the whole tree of a contender's start did not run, its guard and agent
// included: outside of what can be promised, so it is measured apart. To is stamped before it goes on.
type Stall struct {
	Host     string
	From, To time.Duration
}

// A Tenure is one token's interval: its first line to its last.
type Tenure struct {
	Token       uint64
	Host        string
	First, Last time.Duration
	Line        int // of its first
	Lines       int
	Ended       bool // the root wrote end
	rooted      bool // the root wrote begin
}

// An Excess is what a tree wrote after a younger one had begun because it was stalled across its deadline.
type Excess struct {
	Token  uint64
	Host   string
	Length time.Duration // from the end of the stall to its last line
}

// A Verdict is what the log says.
type Verdict struct {
	Tenures    []Tenure // by their begin in the log
	Violations []Violation
	Excesses   []Excess
	Margins    Table // last line of all before to the first of the next
	Rejected   int   // lines that tell of a reject by the register
}

// bound keeps one fault of the harness from printing a line a tick.
const bound = 5

// File judges a log of any length. What it cannot read is a violation; an error says that the reading
// itself failed.
func File(log io.Reader, r Rules) (Verdict, error) {
	c := &court{rules: r, byToken: map[uint64]*Tenure{}, last: map[process]time.Duration{},
		excess: map[uint64]Excess{}, said: map[saidKey]int{}}
	if err := each(log, c.hear, func(v Violation) { c.violations = append(c.violations, v) }); err != nil {
		return Verdict{}, err
	}
	c.overlaps()
	return c.verdict(), nil
}

func (c *court) hear(l Line) {
	c.now = l.At
	c.order(l)
	c.begin(l)
	c.late(l)
	c.extend(l)
}

func (c *court) verdict() Verdict {
	v := Verdict{Violations: c.violations, Margins: Summarise(c.margins), Rejected: c.rejected}
	for _, token := range c.tokens {
		v.Tenures = append(v.Tenures, *c.byToken[token])
		if e, ok := c.excess[token]; ok {
			v.Excesses = append(v.Excesses, e)
		}
	}
	return v
}

// overlaps compares the intervals, by their stamps: each with the latest end of all that began before.
func (c *court) overlaps() {
	all := make([]*Tenure, 0, len(c.tokens))
	for _, token := range c.tokens {
		all = append(all, c.byToken[token])
	}
	slices.SortStableFunc(all, func(a, b *Tenure) int { return int(a.First - b.First) })
	var latest *Tenure
	for _, t := range all {
		if latest != nil {
			c.gap(latest, t)
		}
		if latest == nil || t.Last > latest.Last {
			latest = t
		}
	}
}

// gap is the margin between two tenures, or the violation.
func (c *court) gap(older, younger *Tenure) {
	d := younger.First - older.Last
	if d > 0 {
		c.margins = append(c.margins, d)
		return
	}
	if length, ok := c.stalled(older.Host, older.Last, younger.First); ok {
		c.excuse(older.Token, older.Host, length)
		return
	}
	c.now = younger.First
	c.say(Overlap, younger.Token, younger.Line, "token %d (%s) lived for %v after token %d (%s) had begun",
		older.Token, older.Host, -d, younger.Token, younger.Host)
}

// stalled tells whether a moment of an older tree is the aftermath of a stall in which a younger began, and
// how long after its end.
func (c *court) stalled(host string, at, begun time.Duration) (time.Duration, bool) {
	for _, s := range c.rules.Stalls {
		if s.Host == host && s.From <= begun && begun <= s.To+c.rules.KillBudget && at <= s.To+c.rules.KillBudget {
			return max(0, at-s.To), true
		}
	}
	return 0, false
}

func (c *court) excuse(token uint64, host string, length time.Duration) {
	c.excess[token] = Excess{token, host, max(length, c.excess[token].Length)}
}
