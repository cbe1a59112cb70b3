package judge

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// A Fault is what the harness did, as its own log tells: `boot_ns seq begin|end name host stall|-`, host
// being the contender's start that was hit, or -.
type Fault struct {
	Seq         int
	Name, Host  string
	Stall       bool
	Begin, Heal time.Duration // Heal is 0 while it goes on
}

// ReadFaults reads the harness's log. A line that cannot be read is an error: the harness wrote it.
func ReadFaults(r io.Reader) ([]Fault, error) {
	var faults []Fault
	at := map[int]int{}
	in := bufio.NewScanner(r)
	for n := 1; in.Scan(); n++ {
		f := strings.Fields(in.Text())
		if len(f) != 6 {
			return nil, fmt.Errorf("fault log line %d: %q has %d fields: expected boot_ns seq begin|end name host stall|-", n, in.Text(), len(f))
		}
		ns, err1 := strconv.ParseInt(f[0], 10, 64)
		seq, err2 := strconv.Atoi(f[1])
		i, known := at[seq]
		switch {
		case err1 != nil || err2 != nil || known != (f[2] == "end"):
			return nil, fmt.Errorf("fault log line %d: %q does not parse", n, in.Text())
		case f[2] == "begin":
			at[seq] = len(faults)
			faults = append(faults, Fault{Seq: seq, Name: f[3], Host: f[4], Stall: f[5] == "stall", Begin: time.Duration(ns)})
		case f[2] == "end":
			faults[i].Heal = time.Duration(ns)
			faults[i].Stall = faults[i].Stall || f[5] == "stall" // it may have lasted longer than was meant
		}
	}
	return faults, in.Err()
}

// Stalls are those faults that stopped a whole tree. One that did not end has no aftermath.
func Stalls(faults []Fault) []Stall {
	var all []Stall
	for _, f := range faults {
		if f.Stall && f.Heal != 0 {
			all = append(all, Stall{f.Host, f.Begin, f.Heal})
		}
	}
	return all
}

// An Outcome is what a fault led to.
type Outcome struct {
	Fault Fault
	Kept  bool          // the holder of the time of the fault outlived it
	After time.Duration // from the heal to the next begin; of those that are not kept
	Began bool          // there was a next begin
}

// Outcomes tells the liveness: for each healed fault how long it took until somebody ran again. A holder
// that lives on for a hold after the heal, or until the next fault begins, has survived it. A successor
// that began before the heal took 0.
func Outcomes(faults []Fault, tenures []Tenure, hold time.Duration) []Outcome {
	var all []Outcome
	var over time.Duration // the end of the log: nobody is asked to live longer
	for _, t := range tenures {
		over = max(over, t.Last)
	}
	for _, f := range faults {
		if f.Heal == 0 {
			continue
		}
		o, until := Outcome{Fault: f}, min(over, survived(f, faults, hold))
		for _, t := range tenures {
			if t.First <= f.Begin && t.Last >= until {
				o.Kept = true
			}
			if t.First > f.Begin && !o.Began {
				o.Began, o.After = true, max(0, t.First-f.Heal)
			}
		}
		all = append(all, o)
	}
	return all
}

// survived is the moment from which on a holder that still lives has outlived a fault. A tick before the
// next fault is early enough.
func survived(f Fault, faults []Fault, hold time.Duration) time.Duration {
	const tick = 50 * time.Millisecond
	until := f.Heal + hold
	for _, next := range faults {
		if next.Begin > f.Heal {
			until = min(until, max(f.Heal, next.Begin-tick))
		}
	}
	return until
}
