package config

import (
	"fmt"
	"slices"
	"strings"
)

// fillDefaults sets what depends on the machine.
func (l *loader) fillDefaults() {
	env := l.environment("POD_NAME", "POD_UID", "MESOS_TASK_ID", "NODE_NAME")
	if !l.isSet("holder") {
		l.cfg.Holder = l.chooseHolder(env)
	}
	if !l.isSet("fence.node") {
		l.cfg.Fence.Node = env["NODE_NAME"]
		if l.cfg.Fence.Node == "" {
			l.cfg.Fence.Node = l.in.Hostname
		}
	}
	l.fillReason()
	l.fillOrchestrator()
}

func (l *loader) environment(names ...string) map[string]string {
	env := map[string]string{}
	for _, entry := range l.in.Env {
		if name, value, _ := strings.Cut(entry, "="); slices.Contains(names, name) {
			env[name] = value
		}
	}
	return env
}

func (l *loader) chooseHolder(env map[string]string) string {
	switch {
	case env["POD_NAME"] != "" && env["POD_UID"] != "":
		return env["POD_NAME"] + "/" + env["POD_UID"]
	case env["POD_NAME"] != "":
		return env["POD_NAME"]
	case env["MESOS_TASK_ID"] != "":
		return env["MESOS_TASK_ID"]
	case l.in.Hostname == "":
		return ""
	}
	return fmt.Sprintf("%s:%d", l.in.Hostname, l.in.PID)
}

// verify checks what no single value can show.
func (l *loader) verify() {
	l.verifyIdentity()
	l.verifyLock()
	l.verifyFence()
	l.verifyTiming()
	l.verifyStorage()
	l.verifyDevice()
	l.verifyEnd()
	l.verifyStore()
	l.verifyRestore()
	l.verifyBackup()
	l.verifyWarm()
	l.verifyRequired()
}

// verifyIdentity checks names that were chosen, not given.
func (l *loader) verifyIdentity() {
	for _, chosen := range [][2]string{{"holder", l.cfg.Holder}, {"fence.node", l.cfg.Fence.Node}} {
		key, value := chosen[0], chosen[1]
		if l.bad[key] {
			continue
		}
		if value == "" {
			l.problem(l.everywhere(key), "missing, and this machine has no host name to take instead")
		} else if expected := name(value); expected != "" {
			l.problem(l.everywhere(key), mismatch(value, expected))
		}
	}
}

// verifyFence refuses what would have no effect.
func (l *loader) verifyFence() {
	if l.cfg.Fence.OptionsFile != "" && l.cfg.Fence.Agent == "" && !l.bad["fence.agent"] {
		l.problem(l.place("fence.options_file"), "fence.agent is missing: the options are for it")
	}
	if l.cfg.Fence.Node == "unknown" {
		l.problem(l.everywhere("fence.node"), `"unknown" stands for a holder whom nobody knows: give this node a name of its own`)
	}
	if l.cfg.Fence.Agent != "" && strings.HasPrefix(l.cfg.Lock.URL, "file:") {
		l.problem(l.place("fence.agent"), "a file:// lock is of this host alone, which is never fenced from itself: remove it, or use zk:// or etcd://")
	}
}

func (l *loader) verifyLock() {
	lock := l.cfg.Lock
	l.together("lock.user", lock.User, "lock.password_file", lock.PasswordFile)
	l.together("lock.tls.cert", lock.TLS.Cert, "lock.tls.key", lock.TLS.Key)
	l.verifyForeign()
	if !strings.HasPrefix(lock.URL, "file:") {
		return
	}
	for _, key := range []string{"lock.user", "lock.tls.ca", "lock.tls.cert"} {
		if l.isSet(key) {
			l.problem(l.place(key), "a file:// lock has neither users nor TLS: remove it, or use zk:// or etcd://")
		}
	}
}

// verifyForeign says what contending with other programs cannot promise, and takes the grace away: they do
// not wait for it (protocol.md E1).
func (l *loader) verifyForeign() {
	if !l.cfg.Lock.ForeignPeers {
		return
	}
	const key = "lock.foreign_peers"
	if strings.HasPrefix(l.cfg.Lock.URL, "file:") {
		l.problem(l.place(key), "no other program contends for a file:// lock: remove it, or use zk:// or etcd://")
	}
	l.warnings = append(l.warnings, l.place(key)+": holders that are other programs (etcdctl lock, Curator, kazoo) do not die in time, "+
		"and know neither the hold-off nor the state record: two may write at once after one of them was cut off or paused; see docs/locks.md")
	if l.isSet("timing.grace") && l.cfg.Timing.Grace > 0 {
		l.warnings = append(l.warnings, l.place("timing.grace")+": not used with lock.foreign_peers: after a loss everything is killed at once")
	}
	l.cfg.Timing.Grace = 0
}

// together reports a pair of which only one is given.
func (l *loader) together(keyA, a, keyB, b string) {
	if a != "" && b == "" && !l.bad[keyB] {
		l.problem(l.place(keyA), keyB+" is missing: the two belong together")
	}
	if b != "" && a == "" && !l.bad[keyA] {
		l.problem(l.place(keyB), keyA+" is missing: the two belong together")
	}
}

// verifyTiming asks the caller's arithmetic, once every number is sound.
func (l *loader) verifyTiming() {
	var given []string
	for _, f := range timingFields() {
		if l.bad[f.Key] {
			return
		}
		if l.isSet(f.Key) && strings.HasPrefix(f.Key, "timing.") {
			given = append(given, l.place(f.Key))
		}
	}
	if l.in.CheckTiming == nil {
		return
	}
	where := "timing (" + strings.Join(given, ", ") + ")"
	if len(given) == 0 {
		where = "timing (defaults)"
	}
	for _, err := range l.in.CheckTiming(l.cfg.Timing) {
		l.problem(where, err.Error())
	}
}

func (l *loader) verifyStorage() {
	if l.cfg.StateDir != "" && l.cfg.StateDir == l.cfg.Data {
		l.problem(l.place("state_dir"), "is the data directory itself: expected a directory of its own")
	}
	l.verifyOutsideData()
	seen := map[string]bool{}
	for _, m := range l.cfg.Mounts {
		if seen[m.Path] && m.Path != "" {
			l.problem(l.place("mounts"), fmt.Sprintf("%q is there twice: expected each mount once", shorten(m.Path)))
		}
		seen[m.Path] = true
	}
}

// verifyEnd refuses a reset before anything milder was tried.
func (l *loader) verifyEnd() {
	e := l.cfg.End
	if l.bad["reboot_after"] || l.bad["budgets.drain"] {
		return
	}
	if l.isSet("reboot_after") && !l.standsAtDefault("reboot_after") && e.OnStuck != "reboot" {
		l.problem(l.place("reboot_after"), "on_stuck is not reboot: nothing is reset")
	}
	if e.OnStuck == "reboot" && e.RebootAfter <= l.cfg.Budgets.Drain {
		l.problem(l.place("reboot_after"), fmt.Sprintf("%v is not longer than budgets.drain (%v), after which the storage is freed first", e.RebootAfter, l.cfg.Budgets.Drain))
	}
}

// verifyOutsideData refuses files of ours among the data: an empty data directory would look used, be
// adopted as it is, and never be restored.
func (l *loader) verifyOutsideData() {
	ours := map[string]string{
		"lock.url": l.cfg.Lock.URL, "store.url": storeDir(l.cfg.Store.URL),
		"health.listen": l.cfg.Health.Listen, "health.reason_file": l.cfg.Health.ReasonFile,
	}
	for _, key := range []string{"lock.url", "store.url", "health.listen", "health.reason_file"} {
		path := ours[key]
		for _, prefix := range []string{"file://", "unix:"} {
			path = strings.TrimPrefix(path, prefix)
		}
		if l.cfg.Data == "" || l.bad["data"] || l.bad[key] || !strings.HasPrefix(path, l.cfg.Data+"/") {
			continue
		}
		l.problem(l.place(key), fmt.Sprintf("%q lies inside the data directory, which would then never count as empty: expected a place outside %q", shorten(path), shorten(l.cfg.Data)))
	}
}

// verifyRequired reports what the caller cannot do without.
func (l *loader) verifyRequired() {
	for _, key := range l.in.Require {
		if key == "command" {
			l.verifyCommand()
			continue
		}
		for _, f := range l.fields {
			if f.Key == key && !l.bad[key] && text(plain(f.at(&l.cfg))) == "" {
				l.problem(l.everywhere(key), "missing: expected "+f.Help)
			}
		}
	}
}

func (l *loader) verifyCommand() {
	if len(l.cfg.Command) == 0 {
		l.problem("command", "missing: expected -- and then the command to run, such as: interlock run --lock … -- mysqld --datadir=/srv/db")
	} else if l.cfg.Command[0] == "" {
		l.problem("command", `found "": expected a command after --`)
	}
}

// place is where an effective value was written, for messages.
func (l *loader) place(key string) string {
	source := l.origin[key]
	switch {
	case source == "":
		return l.everywhere(key)
	case strings.HasPrefix(source, "--"), strings.HasPrefix(source, variablePrefix), strings.HasPrefix(source, mesosPrefix):
		return source
	}
	return source + " " + key
}

// everywhere names the three places where a value could be written.
func (l *loader) everywhere(key string) string {
	for _, f := range l.fields {
		if f.Key == key {
			return fmt.Sprintf("--%s, %s or %s", f.Flag, f.Variable(), f.Key)
		}
	}
	return key
}
