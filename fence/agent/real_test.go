package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
)

// real is one of Debian's fence agents.
func real(t *testing.T, name string) Agent {
	t.Helper()
	path := "/usr/sbin/" + name
	if _, err := os.Stat(path); err != nil {
		testkit.Skip(t, "fence-agents", err.Error())
	}
	return Agent{Path: path, Timeout: 2 * time.Minute, Env: os.Environ()}
}

func checked(t *testing.T, a Agent, opts string) (Agent, error) {
	t.Helper()
	a.Options = options(t, opts)
	return a.Check(t.Context())
}

// fence_dummy keeps the status of its machine in a file.
func TestDummy(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []string{"n1", "n2"} {
		if err := os.WriteFile(filepath.Join(dir, n), []byte("on"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, err := checked(t, real(t, "fence_dummy"), "status_file="+dir+"/{node}\n")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Off(t.Context(), "n1", nil); err != nil {
		t.Fatal(err)
	}
	for n, want := range map[string]string{"n1": "off", "n2": "on"} {
		if got, err := os.ReadFile(filepath.Join(dir, n)); err != nil || string(got) != want {
			t.Errorf("%s is %s (%v): expected %s", n, got, err, want)
		}
	}
}

// It fails where its machine cannot be switched.
func TestDummyFails(t *testing.T) {
	a, err := checked(t, real(t, "fence_dummy"), "type=fail\nstatus_file={node}\nplug={node}\n")
	if err == nil {
		t.Fatal("fence_dummy has no plug")
	}
	if a, err = checked(t, a, "type=fail\n[n1]\nstatus_file=/nowhere\n"); err != nil {
		t.Fatal(err)
	}
	if err := a.Off(t.Context(), "n1", nil); !errors.Is(err, ErrFailed) {
		t.Errorf("%v: expected a failure", err)
	}
}

// Options that the agent would ignore, and options that would switch one machine off for all nodes.
func TestRealOptions(t *testing.T) {
	for name, c := range map[string]struct{ agent, opts, says string }{
		"misspelt":           {"fence_dummy", "statusfile=/tmp/x\n[n1]\n", `does not know "statusfile"`},
		"one machine":        {"fence_dummy", "status_file=/tmp/x\n", "one machine"},
		"one address":        {"fence_ipmilan", "ip=192.0.2.7\nusername=u\npassword=p\n", "one machine"},
		"an address a node":  {"fence_ipmilan", "username=u\npassword=p\n[n1]\nip=192.0.2.7\n", ""},
		"addresses by name":  {"fence_ipmilan", "ip={node}.bmc.example\nusername=u\npassword=p\n", ""},
		"a plug is demanded": {"fence_vbox", "ip=192.0.2.7\nusername=u\n", ""},
		"one plug":           {"fence_vbox", "ip=192.0.2.7\nusername=u\nplug=7\n", "one machine"},
		"one plug, as port":  {"fence_vbox", "ip=192.0.2.7\nusername=u\nport=7\n", "one machine"},
		"a plug a node":      {"fence_vbox", "ip=192.0.2.7\nusername=u\n[n1]\nplug=7\n[n2]\nplug=8\n", ""},
		"a plug by name":     {"fence_vbox", "ip=192.0.2.7\nusername=u\nplug=vm-{node}\n", ""},
		"a plug twice":       {"fence_vbox", "ip=192.0.2.7\nusername=u\n[n1]\nplug=7\n[n2]\nplug=7\n", "n1 and n2"},
		"empty sections":     {"fence_ipmilan", "ip=192.0.2.7\nusername=u\npassword=p\n[n1]\n[n2]\n", "n1 and n2"},
		"an address twice":   {"fence_ipmilan", "username=u\n[n1]\nip=192.0.2.7\npassword=p\n[n2]\nip=192.0.2.7\npassword=q\n", "n1 and n2"},
		"plugs of one BMC":   {"fence_ipmilan", "ip=192.0.2.7\nusername=u\n[n1]\nplug=7\n[n2]\nplug=8\n", "n1 and n2"},
		"plugs of powerman":  {"fence_powerman", "ip=192.0.2.7\n[n1]\nplug=7\n[n2]\nplug=8\n", ""},
		"names of powerman":  {"fence_powerman", "ip=192.0.2.7\n", ""},
		"plugs as addresses": {"fence_ipmilan", "port_as_ip=1\nusername=u\n[n1]\nplug=192.0.2.7\n[n2]\nplug=192.0.2.8\n", ""},
		"only a log by name": {"fence_ipmilan", "ip=192.0.2.7\nusername=u\npassword=p\ndebug_file=/tmp/{node}\n", "one machine"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := checked(t, real(t, c.agent), c.opts)
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v: expected %q", err, c.says)
			}
		})
	}
}
