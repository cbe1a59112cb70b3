package config_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/config"
)

// TestValues gives single flags good and bad values.
func TestValues(t *testing.T) {
	cases := []struct{ flag, good, bad string }{
		{"lock", "zk://h/p zk://h1,h2:2181,h3/a/b zk://[::1]:2181,[fe80::1]/p etcd://h:2379/orders etcd://h/a/b file:///a/b file:///x",
			"h zk zk: zk:// zk:///p zk://h zk://h/ zk://h/a//b zk://h/a/ zk://h/../b zk://,h/p zk://h:0/p zk://h:99999/p zk://h:x/p zk://::1/p zk://u:p@h/p http://h/p ZK://h/p file://h/p file:/x file:// file:/// file:///a/../b file:///a/ zk://h/p?x=1 zk://h/p#x zk://h/p.interlock etcd://h/a/b.interlock"},
		{"lock-wait", "forever 0 0s 5m 1h30m", "never 5 -1s 1d FOREVER"},
		{"hold", "20s 1m 20000ms 1m30s", "20 20sec 20S s -20s 0 0s 9000h 1e3s 99999999999h"},
		{"settle", "0s 0 1s", "-1s 1"},
		{"tries", "2 3 100", "0 1 101 03 +3 3.0 x 99999999999999999999"},
		{"token-epoch", "0 255", "-1 256 0x1"},
		{"require-drained", "true false", "yes 1 TRUE"},
		{"isolate", "auto pidns cgroup none", "docker AUTO"},
		{"stop-signal", "TERM SIGTERM QUIT KILL none RTMIN RTMIN+3 SIGRTMIN+30", "term 15 FOO STOP CONT CHLD RTMIN+31 RTMIN+ RTMIN-1 RTMIN+03 NONE"},
		{"stop-grace", "0s 25s", "-1s 25"},
		{"orchestrator-grace", "0s 30s 5m", "-1s 30"},
		{"start-budget", "0s 10m", "-1s 600"},
		{"user", "999 999:999 0:0 mysql mysql:mysql www-data _apt host$ 4294967294", "999: :999 4294967295 1:99999999999 a:b:c -x .x a/b"},
		{"data", "/srv/db", "srv ./srv / /srv/ /srv//db /srv/../x /srv/./x"},
		{"state-dir", "/srv/x", "x / /x/"},
		{"holder", "a a:b a/b-c.d", strings.Repeat("x", 513) + " a\tb"},
		{"listen", "127.0.0.1:9909 :9909 [::1]:80 localhost:0 unix:/run/x", "9909 host h:x h:70000 unix: unix:x ::1:80 http://h:80 unix:/" + strings.Repeat("x", 107)},
		{"reason-file", "/x/y", "x /x/ /x/../y"},
		{"log-format", "text json", "xml"},
		{"restore-timeout", "1s", "0s -1s 5"},
		{"on-stuck", "wait free", "kill WAIT"},
		{"on-undrained", "hold release", "dead"},
		{"store", "s3://b s3://bucket/a/b s3://my.bucket-1/x file:///srv/store", "b s3:// s3:///x s3://k:s@b/x s3://b:9000/x file://h/x file:/// file:///a/../b http://b/x s3://b/x?y=1 s3://b#x"},
		{"restore-at", "latest 20260102T030405Z-7-0123456789abcdef 20260102 2026-01-31T12:00:00Z 2026-01-31T12:00:00+02:00", "newest Latest 12 abc ../x 20260102/x"},
		{"restore-on-empty", "stop", "restore"},
		{"backup-preset", "mariadb-dump redis-rdb", "mysql"},
		{"backup-keep-last", "0 3 100000", "-1 x 100001"},
		{"backup-exclude", `[] ["*.pid","/logs/*"]`, `*.pid ["["] ["/"]`},
		{"mount", `/srv/db / /srv,fstype=nfs4,source=filer*:/orders,opts=hard+vers=4.2+!soft,volume=orders-01,fail_after=9s /srv,source=a\,b /srv,fstype=fuse.* /a,volume=a:b_c.D-9`,
			"srv ,fstype=x /srv/ /srv,fstype /srv,fstype= /srv,fstype=a,fstype=b /srv,path=/x /srv,what=x /srv,opts=a+!a /srv,opts=a++b /srv,opts=! /srv,opts=ro+rw /srv,volume=a/b /srv,volume=" + strings.Repeat("v", 129) + " /srv,fail_after=5 /srv,fail_after=0s"},
	}
	for _, c := range cases {
		for _, value := range strings.Fields(c.good) {
			if got := problems(t, inputs("--"+c.flag, value)); len(got) > 0 {
				t.Errorf("--%s %s: %q", c.flag, value, got)
			}
		}
		for _, value := range strings.Split(c.bad, " ") {
			got := problems(t, inputs("--"+c.flag, value))
			if len(got) != 1 || !strings.HasPrefix(got[0], "--"+c.flag) {
				t.Errorf("--%s %s: got %q, want one problem", c.flag, value, got)
			}
		}
	}
}

// TestExec: a command in a flag is a JSON array of strings, and nothing else.
func TestExec(t *testing.T) {
	for _, bad := range []string{"", "x", "null", `"x"`, `[1]`, `["a",null]`, `[["a"]]`, `["a"] x`, `["a",]`, `{"a":1}`, `["","x"]`, `["a\u0000b"]`} {
		if got := problems(t, inputs("--hooks-pre-start-exec", bad)); len(got) != 1 {
			t.Errorf("%s: got %q, want one problem", bad, got)
		}
	}
	c, _, err := config.Load(inputs("--hooks-pre-start-exec", `["sh","-c","a\nb \"c\""]`, "--hooks-post-stop-exec", "[]"))
	if err != nil || len(c.Hooks.PreStart.Exec) != 3 || c.Hooks.PreStart.Exec[2] != "a\nb \"c\"" || len(c.Hooks.PostStop.Exec) != 0 {
		t.Errorf("%q, %v", c.Hooks, err)
	}
}

// TestTogether: what only makes sense together.
func TestTogether(t *testing.T) {
	zk := []string{"--lock", "zk://h/p"}
	stored := []string{"--store", "s3://b/p", "--data", "/d"}
	cases := []struct {
		flags []string
		want  []string
	}{
		{append(zk, "--lock-user", "u"), []string{"--lock-user: lock.password_file is missing"}},
		{append(zk, "--lock-password-file", "/f"), []string{"--lock-password-file: lock.user is missing"}},
		{append(zk, "--lock-cert", "/c"), []string{"--lock-cert: lock.tls.key is missing"}},
		{append(zk, "--lock-key", "/k"), []string{"--lock-key: lock.tls.cert is missing"}},
		{append(zk, "--lock-ca", "/k", "--lock-cert", "/c", "--lock-key", "/k", "--lock-user", "u", "--lock-password-file", "/f"), nil},
		{[]string{"--lock", "file:///x", "--lock-ca", "/c", "--lock-user", "u", "--lock-password-file", "/f"}, []string{"--lock-user: a file:// lock has neither", "--lock-ca: a file:// lock has neither"}},
		{[]string{"--restore-exec", `["/r"]`}, []string{"--restore-exec: data is missing"}},
		{[]string{"--restore-when", "always"}, []string{"--restore-when: restore.exec is missing"}},
		{[]string{"--data", "/d", "--state-dir", "/d"}, []string{"--state-dir: is the data directory itself"}},
		{[]string{"--mount", "/a", "--mount", "/b", "--mount", "/a"}, []string{`--mount: "/a" is there twice`}},
		{[]string{"--store-region", "eu"}, []string{"--store-region: store.url is missing"}},
		{[]string{"--store", "file:///s", "--store-region", "eu"}, []string{"--store-region: a file:// store is a directory"}},
		{[]string{"--store", "file:///s", "--data", "/s/x"}, []string{"--data: lies in the store"}},
		{[]string{"--store", "file:///d/s", "--data", "/d"}, []string{"--store: … lies inside the data directory"}},
		{[]string{"--store", "file:///my%20s", "--data", "/my s/x"}, []string{"--data: lies in the store"}},
		{[]string{"--store", "file:///my%20d/s", "--data", "/my d"}, []string{"--store: … lies inside the data directory"}},
		{[]string{"--restore-from", "store"}, []string{"--restore-from: store.url is missing", "--restore-from: data is missing"}},
		{append(stored, "--restore-from", "store", "--restore-when", "always"), []string{`--restore-when: found "always"`}},
		{append(stored, "--restore-from", "store", "--restore-exec", `["/r"]`, "--restore-diverged", "replace"), nil},
		{[]string{"--restore-on-empty", "start"}, []string{"--restore-on-empty: only a restore from the store"}},
		{[]string{"--backup-on-stop", "true"}, []string{"--backup-on-stop: store.url is missing", "--backup-on-stop: data is missing"}},
		{append(stored, "--backup-schedule", "15m", "--backup-mode", "cold"), []string{`--backup-mode: found "cold" with backup.schedule`}},
		{append(stored, "--backup-schedule", "15m"), []string{"--backup-schedule: backup.mode is missing"}},
		{append(stored, "--backup-schedule", "15m", "--backup-preset", "redis-rdb"), nil},
		{append(stored, "--backup-on-stop", "true", "--backup-mode", "cold"), nil},
		{append(stored, "--backup-schedule", "x", "--backup-mode", "live"), []string{"--backup-schedule: no schedule"}},
		{[]string{"--backup-preset", "redis-rdb", "--backup-mode", "cold"}, []string{"--backup-preset: … a preset is a command"}},
		{[]string{"--backup-exec", `["/d"]`, "--backup-mode", "live"}, []string{"--backup-exec: backup.mode is live"}},
		{[]string{"--backup-mode", "command"}, []string{"--backup-mode: backup.exec is missing"}},
		{[]string{"--backup-mode", "hook"}, []string{"--backup-mode: backup.freeze is missing"}},
		{[]string{"--backup-mode", "reflink"}, nil},
		{append(stored, "--backup-mode", "reflink", "--backup-schedule", "15m"), []string{"--backup-mode: backup.freeze is missing"}},
		{[]string{"--backup-freeze", `["/f"]`}, []string{"--backup-freeze: only the modes hook and reflink"}},
		{[]string{"--reboot-after", "1m"}, []string{"--reboot-after: on_stuck is not reboot"}},
		{[]string{"--on-stuck", "free", "--reboot-after", "5m"}, nil}, // the default, as the sample has it
		{[]string{"--on-stuck", "reboot", "--reboot-after", "10s"}, []string{"--reboot-after: 10s is not longer than budgets.drain"}},
		{[]string{"--on-stuck", "reboot", "--reboot-after", "11s"}, nil},
		{[]string{"--on-stuck", "reboot", "--budgets-drain", "6m"}, []string{"--reboot-after, INTERLOCK_REBOOT_AFTER or reboot_after: 5m0s is not longer"}},
		{[]string{"--hold", "30s", "--hold", "40s"}, []string{"--hold: given 2 times"}},
	}
	for _, c := range cases {
		in := inputs(c.flags...)
		in.CheckSchedule = func(text string) error {
			if text == "x" {
				return errors.New("no schedule")
			}
			return nil
		}
		expectProblems(t, in, c.want...)
	}
}

// TestPasswordInURL: a password that was put into the URL is refused without being repeated.
func TestPasswordInURL(t *testing.T) {
	in := inputs("--lock", "etcd://root:s3cret@h:2379/x")
	in.Env = []string{"INTERLOCK_LOCK=zk://u:s3cret@h/x"}
	in.File = []byte("lock: {url: \"zk://u:s3cret@h,h2/x\"}\n")
	got := strings.Join(problems(t, in), "\n")
	if strings.Count(got, "\n") != 2 || strings.Contains(got, "s3cret") {
		t.Errorf("got %s", got)
	}
}

func TestSignals(t *testing.T) {
	for name, want := range map[string]syscall.Signal{"TERM": syscall.SIGTERM, "SIGQUIT": syscall.SIGQUIT, "RTMIN": 34, "RTMIN+3": 37, "RTMIN+30": 64} {
		if got, ok := (config.Stop{Signal: name}).Number(); got != want || !ok {
			t.Errorf("%s is %d, %v; want %d", name, got, ok, want)
		}
	}
	if got, ok := (config.Stop{Signal: "none"}).Number(); ok || got != 0 {
		t.Errorf("none is %d, %v", got, ok)
	}
}

func TestWaitLimit(t *testing.T) {
	for text, want := range map[string]time.Duration{"0": 0, "5m": 5 * time.Minute} {
		if got, bounded := (config.Lock{Wait: text}).WaitLimit(); got != want || !bounded {
			t.Errorf("%s is %v, %v", text, got, bounded)
		}
	}
	if _, bounded := config.Defaults().Lock.WaitLimit(); bounded {
		t.Error("forever is bounded")
	}
}

// TestRename: a verb's own name of a flag is read, and named in what is said of it; the variable stays.
func TestRename(t *testing.T) {
	in := inputs("--mode", "cold")
	in.Rename = map[string]string{"backup.mode": "mode", "backup.timeout": "timeout"}
	r, err := config.Resolve(in)
	if err != nil || r.Config.Backup.Mode != "cold" {
		t.Fatalf("mode %q, %v", r.Config.Backup.Mode, err)
	}
	in = inputs("--timeout", "5")
	in.Rename = map[string]string{"backup.timeout": "timeout"}
	expectProblems(t, in, "--timeout: … a duration")
	in.Flags, in.Env = nil, []string{"INTERLOCK_BACKUP_TIMEOUT=5"}
	expectProblems(t, in, "INTERLOCK_BACKUP_TIMEOUT: … a duration")
}

// TestEffectiveMode: what tells a mode without naming it.
func TestEffectiveMode(t *testing.T) {
	for want, b := range map[string]config.Backup{"": {}, "command": {Preset: "redis-rdb"}, "live": {Mode: "live"}} {
		if got := b.Effective(); got != want {
			t.Errorf("%+v is %q, want %q", b, got, want)
		}
	}
	if got := (config.Backup{Exec: []string{"x"}}).Effective(); got != "command" {
		t.Errorf("a command is %q", got)
	}
}

// TestDumpsThatNobodyLoads: a run that restores from the store, and publishes what only a command can load, is
// warned of at once: it would find out on an empty node.
func TestDumpsThatNobodyLoads(t *testing.T) {
	for _, c := range []struct {
		more   string
		warned bool
	}{
		{"--backup-preset mariadb-dump", true}, {"--backup-preset postgres-dump", true}, {`--backup-exec ["cat","/etc/hostname"]`, true},
		{"--backup-preset mariadb-backup", false}, {"--backup-preset postgres-basebackup", false}, {"--backup-preset redis-rdb", false},
		{"--backup-mode live", false}, {`--backup-preset mariadb-dump --restore-exec ["load"]`, false},
		{"--backup-preset mariadb-dump --restore-when never", false}, {"--backup-preset mariadb-dump --restore-from exec", false},
	} {
		flags := append([]string{"--lock", "file:///a/b", "--data", "/d", "--store", "file:///s", "--backup-schedule", "1h", "--backup-keep-last", "3"}, strings.Fields(c.more)...)
		if !strings.Contains(c.more, "--restore-from") {
			flags = append(flags, "--restore-from", "store")
		}
		_, warnings, err := config.Load(inputs(flags...))
		if err != nil || strings.Contains(strings.Join(warnings, "\n"), "restore.exec is missing") != c.warned || !c.warned && len(warnings) > 0 {
			t.Errorf("%s: %v, warnings %q; expected one: %v", c.more, err, warnings, c.warned)
		}
	}
}
