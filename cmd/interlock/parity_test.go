package main

import (
	"reflect"
	"testing"

	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/mountcheck"
)

// TestMountsAgree: what config accepts for --mount, mountcheck takes in the same meaning, and what one
// refuses the other refuses. They share no code, because config imports nothing of ours.
func TestMountsAgree(t *testing.T) {
	for _, text := range []string{
		"/srv/db", "/", "/srv,fstype=nfs4", "/srv,source=filer*:/orders", `/srv,source=a\,b`, "/srv,opts=hard+vers=4.2+!soft",
		"/srv,volume=a:b_c.D-9", "/srv,fail_after=9s", "/srv,opts=ro", "/srv,fstype=fuse.*",
		"", "srv", "/srv,", "/srv,fstype", "/srv,fstype=", "/srv,x=y", "/srv,fstype=a,fstype=b", "/srv,opts=a+!a",
		"/srv,opts=ro+rw", "/srv,opts=a++b", "/srv,volume=a/b", "/srv,fail_after=5", "/srv,fail_after=-1s",
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
		require, forbid, err := mountcheck.ParseOpts(m.Opts)
		got := mountcheck.Expect{Path: m.Path, FSType: m.FSType, Source: m.Source, Require: require, Forbid: forbid, Volume: m.Volume, FailAfter: m.FailAfter}
		if want.FailAfter == 0 {
			want.FailAfter = config.DefaultFailAfter
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: config %+v, mountcheck %+v, %v", text, got, want, err)
		}
	}
}
