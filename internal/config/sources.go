package config

import (
	"fmt"
	"slices"
	"strings"
)

// Variables that an interlock gives to its payload: outputs, not configuration. Two of them carry the
// name of a variable of ours.
const (
	outputToken  = variablePrefix + "TOKEN"
	outputPID    = variablePrefix + "PAYLOAD_PID"
	outputLock   = variablePrefix + "LOCK"
	outputHolder = variablePrefix + "HOLDER"
)

// readEnv takes the variables with our prefix. An empty one counts as not set: that is what ${X:-} in
// a manifest leaves behind.
func (l *loader) readEnv() {
	env := l.ourVariables()
	inside := env[outputToken] != ""
	if inside {
		l.dropOutputs(env)
	}
	delete(env, outputToken)
	delete(env, outputPID)
	delete(env, FileField().Variable())
	for _, f := range l.fields {
		name := f.Variable()
		if value := env[name]; value != "" {
			l.assign(f, name, variableTexts(f, value))
		}
		delete(env, name)
	}
	l.warnUnknown(env)
}

func variableTexts(f Field, value string) []string {
	if f.Repeatable() {
		return splitMounts(value)
	}
	return []string{value}
}

func (l *loader) ourVariables() map[string]string {
	env := map[string]string{}
	for _, entry := range l.in.Env {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, variablePrefix) {
			env[name] = value
		}
	}
	return env
}

// dropOutputs keeps an interlock that runs inside a payload from taking the outer one's lock and name for
// its own configuration.
func (l *loader) dropOutputs(env map[string]string) {
	var dropped []string
	for _, name := range []string{outputLock, outputHolder} {
		if env[name] != "" {
			dropped = append(dropped, name)
		}
		delete(env, name)
	}
	if len(dropped) > 0 {
		l.warnings = append(l.warnings, fmt.Sprintf("%s: set by the interlock that runs this one (%s is set too), not taken as configuration: use flags or the file",
			strings.Join(dropped, ", "), outputToken))
	}
}

// warnUnknown names what is left over. It is no error, because a Kubernetes service called interlock
// makes such variables in every pod beside it.
func (l *loader) warnUnknown(env map[string]string) {
	known := make([]string, 0, len(l.fields))
	for _, f := range l.fields {
		known = append(known, f.Variable())
	}
	var unknown []string
	for name := range env {
		if near := nearest(name, known); near != "" {
			name += " (did you mean " + near + "?)"
		}
		unknown = append(unknown, shorten(name))
	}
	if len(unknown) == 0 {
		return
	}
	slices.Sort(unknown)
	const most = 20
	if more := len(unknown) - most; more > 0 {
		unknown = append(unknown[:most], fmt.Sprintf("and %d more", more))
	}
	l.warnings = append(l.warnings, "ignored variables that are no setting: "+strings.Join(unknown, ", ")+
		" (Kubernetes makes such for a service of that name; enableServiceLinks: false stops it)")
}

// readFlags takes the flags that were given.
func (l *loader) readFlags() {
	for _, f := range l.fields {
		texts := l.in.Flags[f.Flag]
		if len(texts) == 0 {
			continue
		}
		where := "--" + f.Flag
		if len(texts) > 1 && !f.Repeatable() {
			l.problem(where, fmt.Sprintf("given %d times: expected once", len(texts)))
		}
		l.assign(f, where, texts)
	}
}
