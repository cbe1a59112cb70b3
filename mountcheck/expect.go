package mountcheck

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

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
		return e, errors.New("the path is empty, expected an absolute one")
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
