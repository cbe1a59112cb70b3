package etcd

import (
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/lock"
)

// The known releases, what builders make of their numbers, and what is no version at all.
func TestLeaseDefect(t *testing.T) {
	for want, versions := range map[verdict][]string{
		defective: {"2.3.8", "3.0.0", "3.3.27", "3.4.0", "3.4.23", "v3.4.23", "3.4.30", "3.4.30+dfsg-1~bpo12+1", "3.5.0", "3.5.12", "3.5.0-rc.1", "3.4.0-pre"},
		sound:     {"3.4.31", "3.4.40", "v3.4.31+deb12u1", "3.5.13", "3.5.13+k3s1", "3.5.14-rc.1", "3.6.0", "3.6.1-alpha.0", "3.7.0-alpha.0", "3.7.3", "3.10.0", "4.0.0"},
		unknown: {"", "odd", "3", "3.4", "3.4.x", "3.4.23.1", " 3.4.23", "3.4.31\n", "-1.2.3", "3.4.-1", "3.4.99999999999999999999", "not_decided",
			"3.6.0-rc.1", "3.4.31-0.pre+git", "3.5.13-rc.0", "3.6.0-alpha.0"},
	} {
		for _, v := range versions {
			if got := leaseDefect(v); got != want {
				t.Errorf("%q: verdict %d, expected %d", v, got, want)
			}
		}
	}
}

// Each server of ours is asked, and what it says is told once and kept; one that is down is not known.
func TestMembersAsked(t *testing.T) {
	s, name := testkit.SharedEtcd(t), fresh(t)
	set := settings(t, 20e9)
	said := make(chan string, 10)
	set.Warn = func(msg string, _ ...any) { said <- msg }
	d := open(t, set, name, s.Addr(), "127.0.0.1:1")
	if found := d.(lock.Advisor).Findings(); len(found) > 0 {
		t.Errorf("before anybody was asked: %+v", found)
	}
	hold(t, d)
	var want []string
	if leaseDefect(s.Version(t)) == defective {
		want = append(want, s.Addr()+", version "+s.Version(t))
	}
	for _, part := range append(want, "127.0.0.1:1: its version is not known") {
		if got := testkit.Recv(t, limit, "the finding "+part, said); !contains(got, part) {
			t.Errorf("said %q, expected %s", got, part)
		}
	}
	if found := d.(lock.Advisor).Findings(); len(found) != len(want)+1 {
		t.Errorf("findings %+v", found)
	}
}

// A member that the URL does not list is named: nobody asks it.
func TestMembersNotListed(t *testing.T) {
	s, name := testkit.SharedEtcd(t), fresh(t)
	d := open(t, settings(t, 20e9), name, s.Addr()).(*driver)
	if found := d.strangers(bounded(t), map[uint64]bool{1: true}); len(found) != 0 {
		t.Errorf("the one listed member counts as a stranger: %+v", found)
	}
	p := newProxy(t, s.Addr())
	d = open(t, settings(t, 20e9), name, p.addr()).(*driver)
	found := d.strangers(bounded(t), map[uint64]bool{1: true})
	if len(found) != 1 || !contains(found[0].What, s.Addr()) || !contains(found[0].What, "not list") {
		t.Errorf("found %+v, expected the member behind the proxy", found)
	}
	if found := d.ask(bounded(t)); len(found) > 1 {
		t.Errorf("the member that we met by another address is a stranger: %+v", found)
	}
}

// A version that nobody understands is said so, and accuses nobody.
func TestVersionNotUnderstood(t *testing.T) {
	d := &driver{}
	if l := d.judgeVersion("a:1", "weird"); l.Level != warn || !contains(l.What, notKnown) || !contains(l.What, `"weird"`) {
		t.Errorf("%+v", l)
	}
	if l := d.judgeVersion("a:1", "3.6.1"); l.Level != ok {
		t.Errorf("%+v", l)
	}
	mine, shared := d.judgeVersion("a:1", "3.4.1").What, (&driver{s: lock.Settings{Foreign: true}}).judgeVersion("a:1", "3.4.1").What
	if mine == shared || !contains(shared, "another program") {
		t.Errorf("with foreign peers the defect means more, but is told as %q", shared)
	}
}
