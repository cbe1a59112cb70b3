package main

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/lock"
	"github.com/interlock-run/interlock/mountcheck"
)

// mountOf reads a --mount as a run does.
func mountOf(text string) (mountcheck.Expect, error) {
	c, _, err := config.Load(config.Inputs{Hostname: "h", Flags: map[string][]string{"mount": {text}}})
	if err != nil {
		return mountcheck.Expect{}, err
	}
	return expectation(c.Mounts[0])
}

// What a --mount says is what is expected of the mount.
func TestMountsAgree(t *testing.T) {
	const second = time.Second
	for text, want := range map[string]mountcheck.Expect{
		"/":                               {Path: "/"},
		"/srv/db":                         {Path: "/srv/db"},
		"/my data":                        {Path: "/my data"},
		`/a\,b,fstype=xf`:                 {Path: "/a,b", FSType: "xf"},
		`/d,source=m1\,m2:/`:              {Path: "/d", Source: "m1,m2:/"},
		"/d,source=filer*:/orders":        {Path: "/d", Source: "filer*:/orders"},
		"/d,opts=vers=4.2":                {Path: "/d", Require: []string{"vers=4.2"}},
		"/d,opts=hard+rw+!soft":           {Path: "/d", Require: []string{"hard", "rw"}, Forbid: []string{"soft"}},
		"/d,volume=a:b_c.D-9":             {Path: "/d", Volume: "a:b_c.D-9"},
		"/d,uuid=ABCD-1234":               {Path: "/d", UUID: "ABCD-1234"},
		"/d,fail_after=9s":                {Path: "/d", FailAfter: 9 * second},
		"/d,recover_after=3s":             {Path: "/d", RecoverAfter: 3 * second},
		"/d,latency=200ms":                {Path: "/d", Bounds: mountcheck.Bounds{Latency: second / 5}},
		"/d,min_free=10GiB":               {Path: "/d", Bounds: mountcheck.Bounds{MinFree: 10 << 30}},
		"/d,min_free=4096":                {Path: "/d", Bounds: mountcheck.Bounds{MinFree: 4096}},
		"/d,min_inodes=1000":              {Path: "/d", Bounds: mountcheck.Bounds{MinInodes: 1000}},
		"/d,policy=full:kill+slow:ignore": {Path: "/d", Policy: map[mountcheck.Kind]mountcheck.Policy{mountcheck.Full: mountcheck.Kill, mountcheck.Slow: mountcheck.Ignore}},
	} {
		if want.FailAfter == 0 {
			want.FailAfter = config.DefaultFailAfter
		}
		if want.RecoverAfter == 0 {
			want.RecoverAfter = config.DefaultRecoverAfter
		}
		if got, err := mountOf(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v: expected %+v", text, got, err, want)
		}
	}
}

// What cannot be meant is refused before mountcheck sees it.
func TestMountsRefused(t *testing.T) {
	for _, text := range []string{
		"", "srv", ",fstype=nfs", "/d,", "/d,fstype", "/d,fstype=", "/d,x=y", "/d,fstype=a,fstype=b", "/d,source=mon1:6789,mon2:789",
		"/d,opts=a+!a", "/d,opts=ro+rw", "/d,opts=a++b", "/d,opts=!", "/d,volume=a/b", "/d,volume=a b", "/d,volume=" + strings.Repeat("x", 129),
		"/d,uuid=x", "/d,uuid=123", "/d,uuid=-", "/d,fail_after=5", "/d,fail_after=-1s", "/d,recover_after=-1s", "/d,latency=-1s",
		"/d,min_free=1GB", "/d,min_free=-1", "/d,min_free=9999999PiB", "/d,min_inodes=-1", "/d,min_inodes=many",
		"/d,policy=absent:alert", "/d,policy=full:warn", "/d,policy=full", "/d,policy=full:kill+full:alert",
	} {
		if got, err := mountOf(text); err == nil {
			t.Errorf("%.40q: %+v, %v", text, got, err)
		}
	}
}

// TestNeedsAgree: what config adds up for a start is what package lock makes a successor wait.
func TestNeedsAgree(t *testing.T) {
	for _, hold := range []string{"20s", "4500ms", "61500ms"} {
		cfg, _, err := config.Load(config.Inputs{Hostname: "h", CheckTiming: checkTiming, Flags: map[string][]string{
			"hold": {hold}, "settle": {"3s"}, "lock": {"etcd://h/n"}, "heartbeat": {"500ms"}, "try-timeout": {"500ms"}, "grace": {"1s"}, "kill-budget": {"500ms"},
		}})
		if err != nil {
			t.Fatal(err)
		}
		tm := lockTiming(cfg.Timing)
		tm.Hold = tm.HoldMax // the holder before may have had the longest
		want := time.Duration(tm.Tries)*tm.TryTimeout + tm.ServerTimeout() + lock.Scaled(tm.Hold+tm.Settle)
		if got := cfg.StartNeed().Total; got < want || got > want+time.Millisecond {
			t.Errorf("hold %s: a start needs %v, expected %v", hold, got, want)
		}
	}
}
