package mountcheck

import (
	"fmt"
	"slices"
	"strings"
)

// Policy is what a finding does to a run.
type Policy string

// The policies. Alert is said in log, status and metrics, and the run goes on; Ignore counts as well.
const (
	Kill   Policy = "kill"
	Alert  Policy = "alert"
	Ignore Policy = "ignore"
)

// defaultPolicy is Alert for what a service may well live through, Kill for the others.
func defaultPolicy(k Kind) Policy {
	switch k {
	case OK:
		return ""
	case Full, Slow, Unknown:
		return Alert
	}
	return Kill
}

// ruled are the kinds whose policy can be chosen. Absent is not among them: what is written into the
// directory under a missing mount is lost to everybody.
func ruled() []Kind {
	return []Kind{Wrong, Replaced, ReadOnly, Stale, Disconnected, Denied, Erroring, Hung, Full, Slow}
}

// ParsePolicy reads a list of FINDING:POLICY.
func ParsePolicy(list []string) (map[Kind]Policy, error) {
	rules := map[Kind]Policy{}
	for _, text := range list {
		kind, policy, ok := strings.Cut(text, ":")
		k, p := Kind(kind), Policy(policy)
		if _, twice := rules[k]; !ok || twice || !slices.Contains(ruled(), k) || !slices.Contains([]Policy{Kill, Alert, Ignore}, p) {
			return nil, fmt.Errorf("policy: %q, expected FINDING:POLICY, each finding once, of %v and kill, alert or ignore", text, ruled())
		}
		rules[k] = p
	}
	return rules, nil
}

// policy is what a kind does to a run on this mount.
func (e Expect) policy(k Kind) Policy {
	if p, told := e.Policy[k]; told && slices.Contains(ruled(), k) {
		return p
	}
	return defaultPolicy(k)
}

// rule gives a finding the policy of its mount; what is ignored is right.
func (e Expect) rule(f Finding) Finding {
	f.Policy = e.policy(f.Kind)
	if f.Policy != Ignore {
		return f
	}
	return finding(f.Path, OK, fmt.Sprintf("%s is ignored: %s", f.Kind, f.Detail))
}

// patient tells whether FailAfter applies to a kind: also to what is a warning by default, where it kills.
func (e Expect) patient(k Kind) bool {
	return k.patient() || (k == Full || k == Slow) && e.policy(k) == Kill
}

// worse is the finding that counts of two about one mount; of equals it is the first.
func worse(a, b Finding) Finding {
	if b.Fatal() && !a.Fatal() || a.Kind == OK && (b.Kind != OK || a.Detail == "") {
		return b
	}
	return a
}
