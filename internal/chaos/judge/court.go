package judge

import "time"

// court is one pass over the log in the order of the writes.
type court struct {
	rules      Rules
	violations []Violation
	tokens     []uint64 // in the order of their first lines
	byToken    map[uint64]*Tenure
	last       map[process]time.Duration
	highest    Line // the line that brought the highest token
	boot       string
	now        time.Duration // of the line at hand
	excess     map[uint64]Excess
	margins    []time.Duration
	rejected   int
	said       map[saidKey]int
}

type process struct {
	token uint64
	host  string
	pid   int
}

type saidKey struct {
	kind  Kind
	token uint64
}

// say reports a violation, a few times for each token and kind.
func (c *court) say(k Kind, token uint64, line int, format string, args ...any) {
	key := saidKey{k, token}
	c.said[key]++
	if c.said[key] <= bound {
		v := violation(k, line, format, args...)
		v.At = c.now
		c.violations = append(c.violations, v)
	}
}

// order: stamps of one process do not go back, and all are of one boot, for others cannot be compared.
func (c *court) order(l Line) {
	if c.boot == "" {
		c.boot = l.Boot
	}
	if l.Boot != c.boot {
		c.say(Garbled, l.Token, l.N, "line %d is of boot %s, the log began in %s: their stamps cannot be compared", l.N, l.Boot, c.boot)
	}
	p := process{l.Token, l.Host, l.PID}
	if before, ok := c.last[p]; ok && l.At < before {
		c.say(Garbled, l.Token, l.N, "line %d: the stamp of pid %d of token %d goes back by %v", l.N, l.PID, l.Token, before-l.At)
	}
	c.last[p] = l.At
	if l.Event == "rejected" {
		c.rejected++
	}
}

// begin: a token above all before, once, and before all other lines of its tree.
func (c *court) begin(l Line) {
	have, known := c.byToken[l.Token]
	switch {
	case known && have.Host != l.Host:
		c.say(TwoTrees, l.Token, l.N, "line %d: token %d is used by %s and by %s", l.N, l.Token, have.Host, l.Host)
	case l.Event == "begin" && known && have.rooted:
		c.say(TwoTrees, l.Token, l.N, "line %d: token %d begins a second time on %s", l.N, l.Token, l.Host)
	case l.Event != "begin" && !known:
		c.say(Garbled, l.Token, l.N, "line %d: token %d has no begin", l.N, l.Token)
	}
	if l.Event != "begin" {
		return
	}
	if l.Token < c.highest.Token {
		c.say(Backward, l.Token, l.N, "line %d: token %d begins on %s after token %d (line %d, %s)",
			l.N, l.Token, l.Host, c.highest.Token, c.highest.N, c.highest.Host)
	}
}

// late: by the order of the writes, whatever the stamps say.
func (c *court) late(l Line) {
	if l.Token > c.highest.Token {
		c.highest = l
	}
	if l.Token == c.highest.Token {
		return
	}
	after := l.At - c.highest.At
	if length, ok := c.stalled(l.Host, l.At, c.highest.At); ok {
		c.excuse(l.Token, l.Host, length)
		return
	}
	if c.inStall(l.Host, c.highest.At) {
		c.say(Stalled, l.Token, l.N, "line %d: token %d (%s) went on for more than %v after its stall, %v after token %d had begun",
			l.N, l.Token, l.Host, c.rules.KillBudget, after, c.highest.Token)
		return
	}
	c.say(Late, l.Token, l.N, "line %d: %s of token %d (%s) %v after the begin of token %d (line %d, %s)",
		l.N, l.Event, l.Token, l.Host, after, c.highest.Token, c.highest.N, c.highest.Host)
}

func (c *court) inStall(host string, begun time.Duration) bool {
	for _, s := range c.rules.Stalls {
		if s.Host == host && s.From <= begun && begun <= s.To+c.rules.KillBudget {
			return true
		}
	}
	return false
}

// extend: a tenure is its first line to its last, by the stamps.
func (c *court) extend(l Line) {
	t, known := c.byToken[l.Token]
	if !known {
		t = &Tenure{Token: l.Token, Host: l.Host, First: l.At, Last: l.At, Line: l.N}
		c.byToken[l.Token] = t
		c.tokens = append(c.tokens, l.Token)
	}
	t.First, t.Last = min(t.First, l.At), max(t.Last, l.At)
	t.Lines++
	t.Ended = t.Ended || l.Event == "end"
	t.rooted = t.rooted || l.Event == "begin"
}
