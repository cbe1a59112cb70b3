package agent

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// example is a script of examples/fencing, with tools that are scripts of the test's own.
func example(t *testing.T, name, opts string, tools map[string]string) Agent {
	t.Helper()
	path, err := filepath.Abs("../../examples/fencing/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("sh", "-n", path).CombinedOutput(); err != nil {
		t.Fatalf("sh -n: %v: %s", err, out)
	}
	dir := t.TempDir()
	for tool, body := range tools {
		if err := os.WriteFile(filepath.Join(dir, tool), []byte("#!/bin/sh\nD="+dir+"\n"+body+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	a := Agent{Path: path, Options: options(t, opts), Timeout: time.Minute, Env: []string{"PATH=" + dir + ":" + os.Getenv("PATH")}}
	if a, err = a.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestNFSExample(t *testing.T) {
	const remove = `case $1 in -u) grep -v "^${2#*:} ${2%%:*}(" $D/list >$D/new; mv $D/new $D/list;; esac`
	for name, c := range map[string]struct {
		list, tool string
		want       error
		says       string
	}{
		"taken away":     {"/srv/orders 10.0.0.7(rw)\n/srv/orders 10.0.0.8(rw)\n/srv/other *(ro)\n", remove, nil, ""},
		"not there":      {"/srv/orders 10.0.0.8(rw)\n", remove, ErrFailed, "is not exported to"},
		"another name":   {"/srv/orders n1.example(rw)\n", remove, ErrFailed, "is not exported to"},
		"no such export": {"/srv/order 10.0.0.7(rw)\n", remove, ErrFailed, "is not exported to"},
		"from above":     {"/srv 10.0.0.7(sync,rw,fsid=0)\n/srv/orders 10.0.0.7(rw)\n", remove, ErrFailed, "/srv is exported"},
		"from the root":  {"/srv/orders 10.0.0.7(rw)\n/ *(rw)\n", remove, ErrFailed, "/ is exported"},
		"from below":     {"/srv/orders/a 10.0.0.7(rw)\n/srv/orders 10.0.0.7(rw)\n", remove, ErrFailed, "/a is exported"},
		"only to read":   {"/srv *(ro,fsid=0)\n/srv/orders 10.0.0.7(rw)\n", remove, nil, ""},
		"of another":     {"/srv/orders/a 10.0.0.8(rw)\n/srv/orders 10.0.0.7(rw)\n/srv/orders2 *(rw)\n", remove, nil, ""},
		"stays":          {"/srv/orders 10.0.0.7(rw)\n", `true`, ErrFailed, "still on"},
		"everybody":      {"/srv/orders *(rw)\n", remove, ErrFailed, "single hosts"},
		"a subnet":       {"/srv/orders 10.0.0.0/24(rw)\n", remove, ErrFailed, "single hosts"},
		"exportfs fails": {"/srv/orders 10.0.0.7(rw)\n", `exit 1`, ErrFailed, "exportfs"},
	} {
		t.Run(name, func(t *testing.T) {
			a := example(t, "nfs-unexport", "export=/srv/orders\n[n1]\nclient=10.0.0.7\n",
				map[string]string{"exportfs": "[ $1 = -s ] && { cat $D/list; exit; }\n" + c.tool})
			dir, _, _ := strings.Cut(strings.TrimPrefix(a.Env[0], "PATH="), ":")
			if err := os.WriteFile(filepath.Join(dir, "list"), []byte(c.list), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := a.Off(t.Context(), "n1", nil); !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v: expected %v, %q", err, c.want, c.says)
			}
		})
	}
}

func TestNBDExample(t *testing.T) {
	const nft = "case $1 in add) touch $D/set;; get) [ -e $D/set ];; list) echo 'ip saddr @fenced tcp dport 10809 drop';; esac"
	const ss = "case $1 in -K) echo \"$*\" >>$D/killed;; *) [ -e $D/killed ] || echo ESTAB;; esac"
	for name, c := range map[string]struct {
		nft, ss string
		want    error
		says    string
	}{
		"dropped":         {nft, ss, nil, ""},
		"still connected": {nft, "[ $1 = -K ] || echo ESTAB", ErrFailed, "still connected"},
		"no set":          {"exit 1", ss, ErrFailed, "set"},
		"no rule":         {"case $1 in list) echo;; esac", ss, ErrFailed, "no rule"},
		"not added":       {"[ $1 != get ]", ss, ErrFailed, "still on"},
	} {
		t.Run(name, func(t *testing.T) {
			a := example(t, "nbd-drop", "[n1]\nclient=10.0.0.7\n", map[string]string{"nft": c.nft, "ss": c.ss})
			if err := a.Off(t.Context(), "n1", nil); !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v: expected %v, %q", err, c.want, c.says)
			}
		})
	}
	a := example(t, "nbd-drop", "client={node}\n", nil)
	if err := a.Off(t.Context(), "$(reboot)", nil); !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), "IPv4") {
		t.Errorf("%v: expected the name to be refused", err)
	}
}
