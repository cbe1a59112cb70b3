package main

import (
	"reflect"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/lock"
	"github.com/interlock-run/interlock/mountcheck"
)

// TestMountsAgree: what config accepts for --mount, mountcheck takes in the same meaning, and what one
// refuses the other refuses. They share no code, because config imports nothing of ours.
func TestMountsAgree(t *testing.T) {
	for _, text := range []string{
		"/srv/db", "/", "/srv,fstype=nfs4", "/srv,source=filer*:/orders", `/srv,source=a\,b`, "/srv,opts=hard+vers=4.2+!soft",
		"/srv,volume=a:b_c.D-9", "/srv,fail_after=9s", "/srv,opts=ro", "/srv,fstype=fuse.*",
		"", "srv", "/srv,", "/srv,fstype", "/srv,fstype=", "/srv,x=y", "/srv,fstype=a,fstype=b", "/srv,opts=a+!a",
		"/srv,opts=ro+rw", "/srv,uuid=6B1B6b02-4f0b-4a53-9fb9-0d1d4e1c7a11", "/srv,uuid=ABCD-1234", "/srv,uuid=x", "/srv,uuid=123", "/srv,uuid=-", "/srv,opts=a++b", "/srv,volume=a/b", "/srv,fail_after=5", "/srv,fail_after=-1s",
		"/srv,recover_after=3s,latency=200ms,min_free=10GiB,min_inodes=1000,policy=full:kill+hung:alert+slow:ignore",
		"/srv,recover_after=-1s", "/srv,latency=-1s", "/srv,min_free=1GB", "/srv,min_free=-1", "/srv,min_free=9999999PiB", "/srv,min_free=4096",
		"/srv,min_inodes=-1", "/srv,min_inodes=many", "/srv,policy=absent:alert", "/srv,policy=full:warn", "/srv,policy=full", "/srv,policy=full:kill+full:alert",
	} {
		want, wantErr := mountcheck.ParseFlag(text)
		c, _, err := config.Load(config.Inputs{Hostname: "h", Flags: map[string][]string{"mount": {text}}})
		if (err == nil) != (wantErr == nil) {
			t.Errorf("%q: config says %v, mountcheck says %v", text, err, wantErr)
			continue
		}
		if err != nil {
			continue
		}
		m := c.Mounts[0]
		got, err := expectation(m)
		if want.FailAfter == 0 {
			want.FailAfter = config.DefaultFailAfter
		}
		if want.RecoverAfter == 0 {
			want.RecoverAfter = config.DefaultRecoverAfter
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: config %+v, mountcheck %+v, %v", text, got, want, err)
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
