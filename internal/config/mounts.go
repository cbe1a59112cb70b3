package config

import (
	"fmt"
	"strings"
)

// A mountPart is one value of a mount: a key in the file, a NAME=VALUE in the flag.
type mountPart struct {
	key   string
	at    func(*Mount) any
	check func(value any) string
}

func mountParts() []mountPart {
	return []mountPart{
		{"path", func(m *Mount) any { return &m.Path }, absolute},
		{"fstype", func(m *Mount) any { return &m.FSType }, name},
		{"source", func(m *Mount) any { return &m.Source }, oneLine},
		{"opts", func(m *Mount) any { return &m.Opts }, mountOpts},
		{"volume", func(m *Mount) any { return &m.Volume }, volumeID},
		{"uuid", func(m *Mount) any { return &m.UUID }, mountUUID},
		{"fail_after", func(m *Mount) any { return &m.FailAfter }, positive},
		{"recover_after", func(m *Mount) any { return &m.RecoverAfter }, notNegative},
		{"policy", func(m *Mount) any { return &m.Policy }, mountPolicy},
		{"latency", func(m *Mount) any { return &m.Latency }, notNegative},
		{"min_free", func(m *Mount) any { return &m.MinFree }, size},
		{"min_inodes", func(m *Mount) any { return &m.MinInodes }, notNegative},
	}
}

// mountForm is what a flag takes.
const mountForm = "PATH[,fstype=TYPE][,source=GLOB][,opts=a+b+!c][,volume=ID][,uuid=UUID][,fail_after=DURATION][,recover_after=DURATION]" +
	"[,policy=FINDING:kill|alert|ignore+...][,latency=DURATION][,min_free=SIZE][,min_inodes=NUMBER]"

func mountPartNames() []string {
	var names []string
	for _, part := range mountParts() {
		names = append(names, part.key)
	}
	return names
}

func findMountPart(key string) (mountPart, bool) {
	for _, part := range mountParts() {
		if part.key == key {
			return part, true
		}
	}
	return mountPart{}, false
}

func newMount() Mount { return Mount{FailAfter: DefaultFailAfter, RecoverAfter: DefaultRecoverAfter} }

// parseMounts reads the mounts of a flag or a variable. A variable separates mounts by newline or
// semicolon; a flag is given once a mount.
func (l *loader) parseMounts(where string, texts []string) ([]Mount, bool) {
	var mounts []Mount
	sound := true
	for _, text := range texts {
		m, ok := l.parseMount(where, text)
		mounts, sound = append(mounts, m), sound && ok
	}
	return mounts, sound
}

func splitMounts(text string) []string {
	var list []string
	for _, s := range strings.FieldsFunc(text, func(r rune) bool { return r == ';' || r == '\n' }) {
		if s = strings.TrimSpace(s); s != "" {
			list = append(list, s)
		}
	}
	return list
}

// splitCommas splits at commas that no backslash precedes.
func splitCommas(s string) []string {
	parts := []string{""}
	for i := 0; i < len(s); i++ {
		last := len(parts) - 1
		switch {
		case strings.HasPrefix(s[i:], `\,`):
			i++
			parts[last] += ","
		case s[i] == ',':
			parts = append(parts, "")
		default:
			parts[last] += s[i : i+1]
		}
	}
	return parts
}

// parseMount reads PATH[,name=value]…. A comma inside a value is written as "\,".
func (l *loader) parseMount(where, text string) (Mount, bool) {
	m := newMount()
	pieces := splitCommas(text)
	sound := l.mountPart(where, &m, "path", pieces[0])
	seen := map[string]bool{"path": true}
	for _, piece := range pieces[1:] {
		key, value, found := strings.Cut(piece, "=")
		if !found || value == "" || seen[key] {
			l.problem(where, mismatch(text, mountForm+", each with a value and at most once"))
			return m, false
		}
		seen[key] = true
		sound = l.mountPart(where, &m, key, value) && sound
	}
	return m, sound
}

// mountPart sets one part of a mount from its text.
func (l *loader) mountPart(where string, m *Mount, key, value string) bool {
	part, known := findMountPart(key)
	if !known {
		l.problem(where, unknownKey(key, mountPartNames()))
		return false
	}
	target := part.at(m)
	expected := ""
	if list, is := target.(*[]string); is {
		expected = setList(list, strings.Split(value, "+"))
	} else {
		expected = setScalar(target, value)
	}
	return l.accept(fmt.Sprintf("%s %s", where, key), value, target, expected, part.check)
}

// accept reports what was expected, or what the check expects of the value now set.
func (l *loader) accept(where, found string, target any, expected string, check func(any) string) bool {
	if expected == "" && check != nil {
		expected = check(deref(target))
	}
	if expected == "" {
		return true
	}
	l.problem(where, mismatch(found, expected))
	return false
}
