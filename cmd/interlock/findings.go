package main

import (
	"fmt"
	"time"

	"github.com/interlock-run/interlock/internal/config"
)

// A finding is one thing around a run that will not go well: a warning, never a refusal. It is logged at
// the start, shown by /status and check-config, and a line of doctor.
type finding struct {
	Topic string `json:"topic"`
	What  string `json:"what"`
	Do    string `json:"do"`
}

func (f finding) line() string { return f.What + ": " + f.Do }

// Topics of findings.
const (
	topicStop   = "stop budget"
	topicStart  = "start budget"
	topicParent = "parent"
	topicState  = "state"
)

// needs is `check-config --json`'s account of how long a stop and a start may take.
type needs struct {
	Stop  float64 `json:"stop_seconds"`
	Start float64 `json:"start_seconds"`
	How   howLong `json:"parts"`
}

type howLong struct {
	Stop  string `json:"stop"`
	Start string `json:"start"`
}

func needsOf(cfg config.Config) *needs {
	stop, start := cfg.StopNeed(), cfg.StartNeed()
	return &needs{Stop: stop.Total.Seconds(), Start: start.Total.Seconds(), How: howLong{stop.How(), start.How()}}
}

// around is what can be found without looking at the storage; top is the process that the orchestrator
// started.
func around(cfg config.Config, environ []string, top int) []finding {
	all := budgetFindings(cfg, environ)
	if mesosTask(environ) != "" {
		all = append(all, shellAbove(top)...)
	}
	return all
}

// budgetFindings compares what those around us allow, where that is known, with what we may need.
func budgetFindings(cfg config.Config, environ []string) []finding {
	var all []finding
	raise := "raise the orchestrator's grace to that"
	if mesosTask(environ) != "" {
		raise = "raise taskKillGracePeriodSeconds, and executor_shutdown_grace_period of the agents, to that, and say so with --orchestrator-grace"
	}
	if have, need := cfg.Orchestrator.Grace, cfg.StopNeed(); short(have, need) {
		all = append(all, finding{
			Topic: topicStop,
			What:  fmt.Sprintf("the orchestrator kills %v after its TERM, but a stop may take %v (%s)", have, need.Total, need.How()),
			Do:    raise + ", or lower what is in the sum; what is killed releases nothing, and the next holder waits the hold",
		})
	}
	if have, need := cfg.Orchestrator.StartBudget, cfg.StartNeed(); short(have, need) {
		all = append(all, finding{
			Topic: topicStart,
			What:  fmt.Sprintf("the orchestrator allows %v until ready, but a start may take %v (%s)", have, need.Total, need.How()),
			Do:    "raise the orchestrator's budget to that, or lower what is in the sum; a start that is cut off begins anew, for ever if it never fits",
		})
	}
	return all
}

// short: 0 is not known, and known to nobody is no reason to warn.
func short(have time.Duration, need config.Need) bool { return have > 0 && have < need.Total }
