package etcd

import (
	"regexp"
	"strconv"
)

// leaseFixes are the first releases of each line without the lease defect: a member that hung (disk, CPU, a
// pause) and was replaced meanwhile goes on revoking leases that it believes to have run out, though they
// were renewed at its successor (github.com/etcd-io/etcd/issues/15247). It was fixed by pull request 16822,
// which the upstream changelogs call "ignore old leader's leases revoking requests" (pull request 17480);
// even that makes it rare, not impossible, as its own comment says.
const leaseFixes = "3.4.31, 3.5.13, 3.6.0"

// A verdict is what a server's version says of the lease defect.
type verdict int

const (
	unknown verdict = iota // not a version that we understand: nobody is accused, nobody is cleared
	defective
	sound
)

// versionForm is a semantic version; a v before it and anything that build metadata may hold are allowed.
var versionForm = regexp.MustCompile(`^v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.~+-]+)?$`)

// leaseDefect compares with leaseFixes. A pre-release of the first one that has the fix may have it or not.
func leaseDefect(version string) verdict {
	m := versionForm.FindStringSubmatch(version)
	if m == nil {
		return unknown
	}
	var n [3]int
	for i := range n {
		n[i], _ = strconv.Atoi(m[i+1]) // nine digits fit
	}
	switch {
	case !fixed(n[0], n[1], n[2]):
		return defective
	case m[4] != "" && !fixed(n[0], n[1], n[2]-1): // before the first release with the fix
		return unknown
	}
	return sound
}

func fixed(major, minor, patch int) bool {
	switch {
	case major != 3:
		return major > 3
	case minor == 4:
		return patch >= 31
	case minor == 5:
		return patch >= 13
	case minor == 6:
		return patch >= 0
	}
	return minor > 6
}
