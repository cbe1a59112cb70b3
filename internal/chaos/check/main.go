// Command check judges the log of a chaos run from its files alone, also those of somebody else.
//
// Promise: exit 0 says that no rule was broken, 1 that one was, 2 that it could not judge. Called by hand.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/interlock-run/interlock/internal/chaos/judge"
)

func main() {
	log := flag.String("log", "", "the payloads' log `FILE`")
	faults := flag.String("faults", "", "the harness's fault log `FILE`; may be missing")
	budget := flag.Duration("kill-budget", 500*time.Millisecond, "how long a tree may go on after a stall of all of it")
	flag.Parse()
	v, err := verdict(*log, *faults, *budget)
	if err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(2)
	}
	fmt.Printf("tenures %d, last line of the old to first of the new: %v\n", len(v.Tenures), v.Margins)
	for _, e := range v.Excesses {
		fmt.Printf("stalled as a whole: token %d (%s) went on for %v\n", e.Token, e.Host, e.Length)
	}
	for _, w := range v.Violations {
		fmt.Println("VIOLATION", w)
	}
	if len(v.Violations) > 0 {
		os.Exit(1)
	}
}

func verdict(log, faultLog string, budget time.Duration) (judge.Verdict, error) {
	rules := judge.Rules{KillBudget: budget}
	if faultLog != "" {
		f, err := os.Open(faultLog)
		if err != nil {
			return judge.Verdict{}, err
		}
		defer f.Close()
		faults, err := judge.ReadFaults(f)
		if err != nil {
			return judge.Verdict{}, err
		}
		rules.Stalls = judge.Stalls(faults)
	}
	f, err := os.Open(log)
	if err != nil {
		return judge.Verdict{}, err
	}
	defer f.Close()
	return judge.File(f, rules)
}
