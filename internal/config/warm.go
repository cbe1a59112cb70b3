package config

import (
	"strconv"
	"strings"
	"time"
)

// Warm is how a cache is filled before it is ready, and dumped while it serves.
type Warm struct {
	Memcached    string   // host:port or the path of a socket; empty: none
	Also         []string // NAME=ADDRESS of further memcacheds of the same command; read them with Instances
	User         string
	PasswordFile string
	TLS          WarmTLS
	From         string // latest | none | ID | TIME: what is loaded at a start
	Schedule     string // of dumps, as backup.schedule
	Keep         int    // how many dumps of a node stay
	Listing      string // auto | hash | all
	Order        string // hottest-first | coldest-first
	Budget       WarmBudget
	Ready        string // when_warm | at_once | a fraction; read it with ReadyAt
	IfCold       string // ready | stop
	Ring         Ring
	Exec         []string
}

// WarmTLS names PEM files and the server's name in its certificate.
type WarmTLS struct {
	CA   string
	Cert string
	Key  string
	Name string
}

// WarmBudget bounds one load, and one dump.
type WarmBudget struct {
	Time  time.Duration
	Bytes string // read it with Limit
	Rate  int    // items a second; 0: 25,000 for a dump, no limit for a load
}

// A Ring is how the clients find a node.
type Ring struct {
	Kind   string   // a rule of package ring, or auto; empty: no ring
	Nodes  []string // NAME or NAME=WEIGHT, as in the clients' own list
	Self   string   // our name in it
	Stores []string // of the other nodes' dumps
}

// Words of warm.ready, warm.from and warm.ring.kind.
const (
	WhenWarm = "when_warm"
	AtOnce   = "at_once"
	FromNone = "none"
	RingAuto = "auto"

	HottestFirst = "hottest-first"
	ColdestFirst = "coldest-first"
)

// Instances are the memcacheds of the command, each as if there were no other. Ring.Self is its name among the nodes,
// with a ring or without.
func (w Warm) Instances() []Warm {
	if w.Memcached == "" {
		return nil
	}
	first := w
	first.Also = nil
	all := []Warm{first}
	for _, entry := range w.Also {
		one := first
		one.Ring.Self, one.Memcached, _ = strings.Cut(entry, "=")
		all = append(all, one)
	}
	return all
}

// Limit is the number of bytes; 0: none.
func (b WarmBudget) Limit() int64 {
	n, _ := byteCount(b.Bytes)
	return n
}

// WarmAround is for what surrounds a budget of time: the start of the server, the choice of the dumps, the look at
// the ring, and the pass that protects the hottest items.
const WarmAround = time.Minute

// Whole is the budget of time with what surrounds it.
func (b WarmBudget) Whole() time.Duration { return b.Time + WarmAround }

// DumpTime is how long a dump may take: each cache is read for the budget of time at most, and what was read takes as
// long again to be published, at most. A dump that its budget cuts is published, too.
func (w Warm) DumpTime() time.Duration {
	return 2*w.Budget.Time*time.Duration(max(len(w.Instances()), 1)) + WarmAround
}

// ReadyAt is the part that must be loaded before the service is ready, 0 to 1.
func (w Warm) ReadyAt() float64 {
	switch w.Ready {
	case WhenWarm:
		return 1
	case AtOnce:
		return 0
	}
	f, _ := strconv.ParseFloat(w.Ready, 64)
	return f
}

// Loads tells whether a run fills the cache at its start.
func (w Warm) Loads() bool { return w.Memcached != "" && w.From != FromNone || len(w.Exec) > 0 }

func (w Warm) part() Part {
	if !w.Loads() || w.ReadyAt() == 0 {
		return Part{}
	}
	if len(w.Exec) > 0 && w.Memcached != "" && w.From != FromNone { // one after the other, each with its own bound
		return Part{"warm-budget-time and a minute, twice", 2 * w.Budget.Whole()}
	}
	return Part{"warm-budget-time and a minute", w.Budget.Whole()}
}

func byteCount(s string) (int64, bool) {
	if s == "" {
		return 0, true
	}
	digits, shift := s, 0
	for i, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if before, is := strings.CutSuffix(s, unit); is {
			digits, shift = before, 10*(i+1)
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n << shift, err == nil && n > 0 && n <= 1<<50>>shift && strconv.FormatInt(n, 10) == digits
}
