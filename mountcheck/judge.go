package mountcheck

import (
	"fmt"
	"strings"
)

// judge compares what the table says about a mountpoint with what is expected there; base, where it is
// set, is the mount that was there at the start.
func judge(e Expect, base, now Mount) Finding {
	switch {
	case now.Point != e.Path && base.ID != 0:
		return finding(e.Path, Absent, fmt.Sprintf("%s was unmounted; %s is now a directory of %s", base, e.Path, now))
	case now.Point != e.Path:
		return finding(e.Path, Absent, fmt.Sprintf("nothing is mounted at %s; it would be a directory of %s", e.Path, now))
	case now.FSType == "autofs":
		return finding(e.Path, Absent, fmt.Sprintf("only the automount trigger is at %s", e.Path))
	case base.ID != 0 && !sameMount(base, now):
		return finding(e.Path, Replaced, replacedText(base, now))
	}
	if text := mismatch(e, now); text != "" {
		return finding(e.Path, Wrong, text)
	}
	return judgeOptions(e, now)
}

// sameMount compares by the strongest names: source and device change with another filesystem, the id
// with another mount of the same one.
func sameMount(a, b Mount) bool {
	if a.Unique != 0 && b.Unique != 0 && a.Unique != b.Unique {
		return false
	}
	return a.ID == b.ID && a.Major == b.Major && a.Minor == b.Minor && a.Source == b.Source && a.Root == b.Root
}

func replacedText(base, now Mount) string {
	was, is := base.String(), now.String()
	if was == is {
		return is + " was unmounted and mounted again"
	}
	return fmt.Sprintf("%s is mounted where %s was at the start", is, was)
}

// mismatch names the first thing that differs from what is expected.
func mismatch(e Expect, m Mount) string {
	if e.FSType != "" && !fstypeMatches(e.FSType, m) {
		return fmt.Sprintf("the filesystem at %s is of type %s, expected %s", e.Path, m.FSType, e.FSType)
	}
	if e.Source != "" && !sourceMatches(e.Source, m) {
		return fmt.Sprintf("the source of %s is %s, expected %s", e.Path, withRoot(m), e.Source)
	}
	return ""
}

func sourceMatches(want string, m Mount) bool {
	if strings.HasSuffix(want, "]") {
		return glob(want, m.Source+"["+m.Root+"]")
	}
	return glob(want, m.Source)
}

func withRoot(m Mount) string {
	if m.Root == "/" {
		return m.Source
	}
	return m.Source + "[" + m.Root + "]"
}

// judgeOptions: writable unless ro is required, then the rest. Errors that turned a filesystem read-only
// or off show as emergency_ro and shutdown in newer kernels' options.
func judgeOptions(e Expect, m Mount) Finding {
	all := options(m)
	if hasOption(all, "shutdown") {
		return finding(e.Path, Erroring, fmt.Sprintf("%s was shut down after an error", m))
	}
	if !e.ReadOnly() && (has(all, "ro") || has(all, "emergency_ro")) {
		return finding(e.Path, ReadOnly, fmt.Sprintf("%s is read-only, expected rw", m))
	}
	for _, o := range e.Require {
		if !hasOption(all, o) {
			return finding(e.Path, Wrong, fmt.Sprintf("%s lacks the option %s; it has %s", m, o, strings.Join(all, ",")))
		}
	}
	for _, o := range e.Forbid {
		if hasOption(all, o) {
			return finding(e.Path, Wrong, fmt.Sprintf("%s has the forbidden option %s", m, o))
		}
	}
	if o, why := e.unsafe(m, all); o != "" {
		return finding(e.Path, Wrong, fmt.Sprintf("%s has %s: %s; expect opts=%s to accept it", m, o, why, o))
	}
	return finding(e.Path, OK, m.String())
}

// options are those of the mount and of the filesystem, shown or not; ro of either wins over rw of the other.
func options(m Mount) []string {
	all := append(strings.FieldsFunc(m.Options+","+m.Super, func(r rune) bool { return r == ',' }), m.hidden...)
	if !has(all, "ro") {
		return all
	}
	kept := all[:0]
	for _, o := range all {
		if o != "rw" {
			kept = append(kept, o)
		}
	}
	return kept
}

// hasOption takes a key alone for any value of it.
func hasOption(all []string, want string) bool {
	for _, o := range all {
		if o == want || strings.HasPrefix(o, want+"=") {
			return true
		}
	}
	return false
}
