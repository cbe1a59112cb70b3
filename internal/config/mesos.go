package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Variables of a Mesos task.
const (
	mesosPrefix  = "MESOS_"
	mesosTask    = "MESOS_TASK_ID"
	mesosSandbox = "MESOS_SANDBOX"
	mesosGrace   = "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD"
)

// SandboxReason is the reason file's name in the sandbox of a Mesos task, which the agent keeps and shows.
const SandboxReason = "interlock.reason"

// mesosUnits are those of Mesos' own durations.
func mesosUnits() map[string]time.Duration {
	const day = 24 * time.Hour
	return map[string]time.Duration{
		"ns": time.Nanosecond, "us": time.Microsecond, "ms": time.Millisecond, "secs": time.Second,
		"mins": time.Minute, "hrs": time.Hour, "days": day, "weeks": 7 * day,
	}
}

// mesosDuration reads what Mesos writes: one number and its unit, such as 5secs or 1.5mins. The error says
// what was expected.
func mesosDuration(text string) (time.Duration, error) {
	number := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyz")
	unit, known := mesosUnits()[text[len(number):]]
	n, err := strconv.ParseFloat(number, 64)
	if strings.Trim(number, "0123456789.") != "" || err != nil || !known {
		return 0, errors.New("a number and one of ns, us, ms, secs, mins, hrs, days, weeks, such as 5secs")
	}
	d := math.Round(n * float64(unit))
	if d > float64(maxDuration) {
		return 0, fmt.Errorf("at most %d days", maxDuration/(24*time.Hour))
	}
	return time.Duration(d), nil
}

// fillOrchestrator takes what a Mesos executor says of its own patience. What cannot be understood is said,
// never guessed.
func (l *loader) fillOrchestrator() {
	const key = "orchestrator.grace"
	env := l.environment(mesosTask, mesosGrace)
	if l.isSet(key) || env[mesosTask] == "" || env[mesosGrace] == "" {
		return
	}
	d, err := mesosDuration(env[mesosGrace])
	if err != nil {
		l.warnings = append(l.warnings, fmt.Sprintf("%s: %s: what this executor gives a stop is not known: say it with --orchestrator-grace", mesosGrace, mismatch(env[mesosGrace], err.Error())))
		return
	}
	l.cfg.Orchestrator.Grace, l.origin[key] = d, mesosGrace
}

// fillReason is the reason file where nobody named one: Kubernetes' where it exists, else the sandbox of a
// Mesos task, unless that is the data directory or lies in it.
func (l *loader) fillReason() {
	const key = "health.reason_file"
	if l.isSet(key) && !l.bad[key] || l.in.TerminationLogExists {
		return
	}
	l.cfg.Health.ReasonFile = ""
	dir := l.environment(mesosSandbox)[mesosSandbox]
	if l.isSet(key) || dir == "" || dataDir(dir) != "" || l.cfg.Data != "" && strings.HasPrefix(dir+"/", l.cfg.Data+"/") {
		return
	}
	l.cfg.Health.ReasonFile, l.origin[key] = dir+"/"+SandboxReason, mesosSandbox
}
