package mountcheck

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// flagForm is what a message shows.
const flagForm = "PATH[,fstype=NAME][,source=GLOB][,opts=a+b+!c][,volume=ID][,uuid=UUID][,fail_after=DURATION][,recover_after=DURATION]" +
	"[,policy=FINDING:kill|alert|ignore+...][,latency=DURATION][,min_free=SIZE][,min_inodes=NUMBER]"

// ParseFlag reads the value of --mount. A comma inside a value is written as "\,".
func ParseFlag(s string) (Expect, error) {
	parts := splitCommas(s)
	e := Expect{Path: parts[0]}
	seen := map[string]bool{}
	for _, part := range parts[1:] {
		key, value, ok := strings.Cut(part, "=")
		if !ok || value == "" {
			return Expect{}, fmt.Errorf("--mount %q: %q has no value, expected %s", s, part, flagForm)
		}
		if seen[key] {
			return Expect{}, fmt.Errorf("--mount %q: %s is given twice", s, key)
		}
		seen[key] = true
		if err := e.set(key, value); err != nil {
			return Expect{}, fmt.Errorf("--mount %q: %w", s, err)
		}
	}
	e, err := e.Check()
	if err != nil {
		return Expect{}, fmt.Errorf("--mount %q: %w", s, err)
	}
	return e, nil
}

func (e *Expect) set(key, value string) (err error) {
	switch key {
	case "fstype":
		e.FSType = value
	case "source":
		e.Source = value
	case "volume":
		e.Volume = value
	case "uuid":
		e.UUID = value
	case "opts":
		e.Require, e.Forbid, err = ParseOpts(strings.Split(value, "+"))
	case "fail_after":
		e.FailAfter, err = time.ParseDuration(value)
	case "recover_after":
		e.RecoverAfter, err = time.ParseDuration(value)
	case "policy":
		e.Policy, err = ParsePolicy(strings.Split(value, "+"))
	default:
		return e.Bounds.set(key, value)
	}
	return err
}

func (b *Bounds) set(key, value string) (err error) {
	switch key {
	case "latency":
		b.Latency, err = time.ParseDuration(value)
	case "min_free":
		b.MinFree, err = ParseSize(value)
	case "min_inodes":
		b.MinInodes, err = strconv.ParseUint(value, 10, 31)
	default:
		return fmt.Errorf("unknown key %q, expected %s", key, flagForm)
	}
	return err
}

// ParseOpts sorts a list of options into those required and, with a leading "!", forbidden.
func ParseOpts(list []string) (require, forbid []string, err error) {
	for _, o := range list {
		name, no := strings.CutPrefix(o, "!")
		if name == "" {
			return nil, nil, fmt.Errorf("opts: empty option in %q", strings.Join(list, "+"))
		}
		if no {
			forbid = append(forbid, name)
		} else {
			require = append(require, name)
		}
	}
	return require, forbid, nil
}

// Check cleans the path and refuses what can never be met.
func (e Expect) Check() (Expect, error) {
	if e.Path == "" {
		return e, fmt.Errorf("the path is empty, expected %s", flagForm)
	}
	if !filepath.IsAbs(e.Path) {
		return e, fmt.Errorf("the path %q is relative, expected an absolute one", e.Path)
	}
	e.Path = filepath.Clean(e.Path)
	if err := e.contradiction(); err != nil {
		return e, err
	}
	if e.FailAfter < 0 || e.RecoverAfter < 0 || e.Latency < 0 {
		return e, fmt.Errorf("fail_after %s, recover_after %s, latency %s: one is negative", e.FailAfter, e.RecoverAfter, e.Latency)
	}
	if e.Volume != "" && !validID(e.Volume) {
		return e, fmt.Errorf("volume %q: expected 1 to 128 letters, digits, dots, underscores, colons or hyphens", e.Volume)
	}
	if e.UUID != "" && !ValidUUID(e.UUID) {
		return e, fmt.Errorf("uuid %q: expected hexadecimal digits and hyphens, as blkid shows them", e.UUID)
	}
	return e, nil
}

func (e Expect) contradiction() error {
	for _, o := range e.Require {
		if has(e.Forbid, o) {
			return fmt.Errorf("opts: %s is both required and forbidden", o)
		}
	}
	if has(e.Require, "ro") && has(e.Require, "rw") || has(e.Forbid, "ro") && has(e.Forbid, "rw") {
		return fmt.Errorf("opts: ro and rw exclude each other")
	}
	return nil
}

// splitCommas splits at commas that no backslash precedes.
func splitCommas(s string) []string {
	parts := []string{""}
	for i := 0; i < len(s); i++ {
		last := len(parts) - 1
		switch {
		case s[i] == '\\' && i+1 < len(s) && s[i+1] == ',':
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

func validID(id string) bool {
	if len(id) == 0 || len(id) > 128 {
		return false
	}
	for _, c := range []byte(id) {
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("._:-", c) >= 0
		if !ok {
			return false
		}
	}
	return true
}
