package config

import (
	"fmt"
	"math"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// verify checks one value by its field: the only values first, then the field's own check.
func (f Field) verify(value any) string {
	if s, is := value.(string); is && len(f.Values) > 0 {
		if s == "" && f.Unset != "" || slices.Contains(f.Values, s) {
			return ""
		}
		return "one of " + strings.Join(f.Values, ", ")
	}
	if f.check == nil {
		return ""
	}
	return f.check(value)
}

func positive(v any) string {
	if d, is := v.(time.Duration); is && d <= 0 {
		return "more than 0"
	}
	return ""
}

func notNegative(v any) string {
	d, isTime := v.(time.Duration)
	n, isInt := v.(int)
	if isTime && d < 0 || isInt && n < 0 {
		return "0 or more"
	}
	return ""
}

func between(least, most int) func(any) string {
	return func(v any) string {
		if n, is := v.(int); is && (n < least || n > most) {
			return fmt.Sprintf("%d to %d", least, most)
		}
		return ""
	}
}

func oneLine(v any) string {
	if s, _ := v.(string); strings.ContainsFunc(s, unicode.IsControl) {
		return "one line without control characters"
	}
	return ""
}

// name is what others read in one word: logs, keys of the lock service, fence agents.
func name(v any) string {
	s, _ := v.(string)
	bad := func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) }
	if len(s) > 512 || strings.ContainsFunc(s, bad) {
		return "a name of at most 512 bytes without spaces"
	}
	return ""
}

func absoluteOrEmpty(v any) string {
	if v == "" {
		return ""
	}
	return absolute(v)
}

// absolute wants a path that can be read in one way only: resolving .. by text and by the kernel differ
// where a symbolic link is in between.
func absolute(v any) string {
	s, _ := v.(string)
	switch {
	case !strings.HasPrefix(s, "/"):
		return "an absolute path"
	case slices.Contains(strings.Split(s, "/"), ".."):
		return "an absolute path without .."
	case filepath.Clean(s) != s:
		return "the path as " + filepath.Clean(s)
	}
	return oneLine(v)
}

func dataDir(v any) string {
	if v == "/" {
		return "a directory below /"
	}
	return absoluteOrEmpty(v)
}

func argv(v any) string {
	if list, _ := v.([]string); len(list) > 0 && list[0] == "" {
		return "a command in the first element, or an empty list for none"
	}
	return ""
}

// waitText takes what WaitLimit understands.
func waitText(v any) string {
	if s, _ := v.(string); s != "forever" {
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 || d > maxDuration {
			return "forever, 0 (one try) or a duration such as 5m"
		}
	}
	return ""
}

// WaitLimit is how long to wait for the grant; not bounded means for ever.
func (l Lock) WaitLimit() (limit time.Duration, bounded bool) {
	d, err := time.ParseDuration(l.Wait)
	return d, err == nil
}

// word tells whether s is 1 to most letters, digits and extra characters. Spelled out instead of a regular
// expression, because compiling one would be work before main.
func word(s string, most int, extra string) bool {
	if s == "" || len(s) > most {
		return false
	}
	for _, r := range s {
		alphanumeric := r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !alphanumeric && !strings.ContainsRune(extra, r) {
			return false
		}
	}
	return true
}

func userText(v any) string {
	s, _ := v.(string)
	id, group, both := strings.Cut(s, ":")
	if s == "" || userOrGroup(id) && (!both || userOrGroup(group)) {
		return ""
	}
	return "UID[:GID] or NAME[:GROUP], numbers up to 4294967294"
}

// userOrGroup takes a name, or a number below 2^32-1, which means "unchanged" to the kernel.
func userOrGroup(s string) bool {
	if s != "" && strings.Trim(s, "0123456789") == "" {
		n, err := strconv.ParseUint(s, 10, 32)
		return err == nil && n < math.MaxUint32
	}
	return word(strings.TrimSuffix(s, "$"), 255, "_.-") && !strings.HasPrefix(s, "-") && !strings.HasPrefix(s, ".")
}

func volumeID(v any) string {
	if s, _ := v.(string); s != "" && !word(s, 128, "._:-") {
		return "a volume id: 1 to 128 letters, digits, dots, underscores, colons or hyphens"
	}
	return ""
}

// mountUUID takes what blkid shows of any filesystem: not all have 128 bits.
func mountUUID(v any) string {
	s, _ := v.(string)
	digits := strings.ToLower(strings.ReplaceAll(s, "-", ""))
	if s != "" && (len(digits) < 4 || len(digits) > 32 || strings.Trim(digits, "0123456789abcdef") != "") {
		return "the UUID of a filesystem, as blkid shows it"
	}
	return ""
}

// mountOpts refuses options that no mount could have together.
func mountOpts(v any) string {
	opts, _ := v.([]string)
	for _, o := range opts {
		if strings.TrimPrefix(o, "!") == "" || oneLine(o) != "" {
			return "mount options such as hard, vers=4.2 or !soft, separated by + in a flag or variable"
		}
		if slices.Contains(opts, "!"+o) {
			return o + " to be either required or forbidden"
		}
	}
	for _, no := range []string{"", "!"} {
		if slices.Contains(opts, no+"ro") && slices.Contains(opts, no+"rw") {
			return "not both ro and rw, which exclude each other"
		}
	}
	return ""
}

// mountPolicy: absent cannot be chosen, because what is written below a missing mount is lost to everybody.
func mountPolicy(v any) string {
	list, _ := v.([]string)
	findings := []string{"wrong", "replaced", "readonly", "stale", "disconnected", "denied", "erroring", "hung", "full", "slow"}
	seen := map[string]bool{}
	for _, text := range list {
		finding, policy, _ := strings.Cut(text, ":")
		if seen[finding] || !slices.Contains(findings, finding) || !slices.Contains([]string{"kill", "alert", "ignore"}, policy) {
			return "FINDING:POLICY, each finding once, of " + strings.Join(findings, ", ") + " and kill, alert or ignore"
		}
		seen[finding] = true
	}
	return ""
}

// size takes bytes: a whole number, alone or with a power of 1024.
func size(v any) string {
	s, _ := v.(string)
	if s == "" {
		return ""
	}
	digits, unit := s, int64(1)
	for i, name := range []string{"KiB", "MiB", "GiB", "TiB", "PiB"} {
		if rest, is := strings.CutSuffix(s, name); is {
			digits, unit = rest, 1<<(10*(i+1))
		}
	}
	if n, err := strconv.ParseUint(digits, 10, 64); err != nil || n > uint64(math.MaxInt64/unit) {
		return "bytes as a whole number, alone or with KiB, MiB, GiB, TiB or PiB"
	}
	return ""
}

func listenAddress(v any) string {
	s, _ := v.(string)
	if s == "" {
		return ""
	}
	const expected = "HOST:PORT with a port from 0 to 65535, or unix:PATH with an absolute path of at most 107 bytes"
	if socket, is := strings.CutPrefix(s, "unix:"); is {
		if absolute(socket) != "" || len(socket) > 107 {
			return expected
		}
		return ""
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil || !portNumber(port) || oneLine(host) != "" || strings.ContainsAny(host, " /@") {
		return expected
	}
	return ""
}
