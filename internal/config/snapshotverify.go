package config

import (
	"fmt"
	"strings"
)

// storeDetails are the keys that say how an S3 store is reached.
func storeDetails() []string {
	return []string{"store.endpoint", "store.region", "store.path_style", "store.ca", "store.credentials_file", "store.profile"}
}

func (l *loader) verifyStore() {
	url := l.cfg.Store.URL
	if l.bad["store.url"] {
		return
	}
	for _, key := range append(storeDetails(), "store.identity_file") {
		if l.isSet(key) && url == "" && !l.standsAtDefault(key) {
			l.problem(l.place(key), "store.url is missing: there is no store to reach ("+l.everywhere("store.url")+")")
		}
	}
	dir := storeDir(url)
	if dir == "" {
		return
	}
	for _, key := range storeDetails() {
		if l.isSet(key) && !l.standsAtDefault(key) {
			l.problem(l.place(key), "a file:// store is a directory, which has none: remove it, or use s3://")
		}
	}
	if data := l.cfg.Data; data != "" && !l.bad["data"] && (data == dir || strings.HasPrefix(data, dir+"/")) {
		l.problem(l.place("data"), fmt.Sprintf("lies in the store %q: expected a place outside it", shorten(dir)))
	}
}

func (l *loader) verifyRestore() {
	r := l.cfg.Restore
	if r.From == FromStore {
		l.verifyFromStore()
		return
	}
	if len(r.Exec) > 0 {
		l.needs("restore.exec", "data", l.cfg.Data, "the directory that the restore fills")
	}
	if r.When == "always" && len(r.Exec) == 0 && !l.bad["restore.exec"] {
		l.problem(l.place("restore.when"), "restore.exec is missing: there is nothing to run always")
	}
	for _, key := range []string{"restore.on_empty", "restore.diverged"} {
		if l.isSet(key) && !l.bad[key] && !l.bad["restore.from"] && !l.standsAtDefault(key) {
			l.problem(l.place(key), "only a restore from the store looks at it: expected restore.from store, too")
		}
	}
}

// standsAtDefault lets a file name every key, as the sample does.
func (l *loader) standsAtDefault(key string) bool {
	for _, f := range l.fields {
		if f.Key == key {
			return text(plain(f.at(&l.cfg))) == f.DefaultText()
		}
	}
	return false
}

func (l *loader) verifyFromStore() {
	l.needs("restore.from", "store.url", l.cfg.Store.URL, "where the snapshots lie")
	l.needs("restore.from", "data", l.cfg.Data, "the directory that the restore fills")
	if l.cfg.Restore.When == "always" {
		l.problem(l.place("restore.when"), `found "always": a restore from the store looks at what is there: expected empty, and restore.diverged replace where data that was overtaken may be written over`)
	}
}

// needs reports that key is set while another one, which it cannot do without, is not.
func (l *loader) needs(key, other, value, what string) {
	if value == "" && !l.bad[other] && !l.bad[key] {
		l.problem(l.place(key), other+" is missing: expected "+what+" ("+l.everywhere(other)+")")
	}
}

func (l *loader) verifyBackup() {
	b := l.cfg.Backup
	l.verifyMode()
	for _, key := range []string{"backup.schedule", "backup.on_stop"} {
		if key == "backup.schedule" && b.Schedule != "" || key == "backup.on_stop" && b.OnStop {
			l.needs(key, "store.url", l.cfg.Store.URL, "where the snapshots go")
			l.needs(key, "data", l.cfg.Data, "the directory that is backed up")
		}
	}
	if b.Schedule == "" || l.bad["backup.schedule"] {
		return
	}
	l.verifyLoadable()
	if l.in.CheckSchedule != nil {
		if err := l.in.CheckSchedule(b.Schedule); err != nil {
			l.problem(l.place("backup.schedule"), err.Error())
		}
	}
	switch {
	case l.bad["backup.mode"], l.bad["backup.preset"]:
	case b.Effective() == "":
		l.problem(l.place("backup.schedule"), "backup.mode is missing: expected how a copy of the running service is made consistent: a preset, or one of command, hook, reflink, live")
	case b.Mode == "cold":
		l.problem(l.place("backup.mode"), `found "cold" with backup.schedule: a scheduled backup finds the service running: expected command, hook, reflink or live, or backup.on_stop without a schedule`)
	}
	if b.Keep == (Keep{}) && l.cfg.Store.URL != "" {
		l.warnings = append(l.warnings, l.place("backup.schedule")+": backup.keep says nothing: no snapshot is ever removed")
	}
}

// verifyLoadable warns of snapshots that the run itself could not restore: what most commands write is loaded by
// another command.
func (l *loader) verifyLoadable() {
	b, r := l.cfg.Backup, l.cfg.Restore
	if r.From != FromStore || r.When == "never" || len(r.Exec) > 0 || b.Effective() != ModeCommand {
		return
	}
	written := "backup.exec"
	switch b.Preset {
	case "mariadb-backup", "postgres-basebackup", "redis-rdb": // restored without a server
		return
	case "":
	default:
		written = "backup.preset " + b.Preset
	}
	l.warnings = append(l.warnings, l.place("restore.from")+": restore.exec is missing: what "+written+" writes is restored only by a command that loads it: a start on an empty directory would be refused")
}

// verifyMode checks what belongs to a mode: what the mode needs, and what would do nothing in it.
func (l *loader) verifyMode() {
	b := l.cfg.Backup
	if l.bad["backup.mode"] || l.bad["backup.preset"] || l.bad["backup.exec"] || l.bad["backup.freeze"] {
		return
	}
	mode := b.Effective()
	if b.Preset != "" && mode != ModeCommand {
		l.problem(l.place("backup.preset"), fmt.Sprintf("found %q with backup.mode %s: a preset is a command: remove one of the two", b.Preset, mode))
	} else if len(b.Exec) > 0 && mode != ModeCommand {
		l.problem(l.place("backup.exec"), "backup.mode is "+mode+", which runs no such command: remove one of the two")
	}
	named := len(b.Exec) > 0 || l.in.CommandIsBackup && len(l.in.Command) > 0
	if mode == ModeCommand && b.Preset == "" && !named {
		missing := "backup.exec is missing"
		if l.in.CommandIsBackup {
			missing = "no command stands after --"
		}
		l.problem(l.place("backup.mode"), missing+": expected the command whose output is the snapshot, or a preset")
	}
	frozen := mode == "hook" || mode == "reflink"
	// A reflink of a stopped service needs no freeze.
	if len(b.Freeze) == 0 && (mode == "hook" || mode == "reflink" && b.Schedule != "") {
		l.problem(l.place("backup.mode"), "backup.freeze is missing: mode "+mode+" freezes the service during the copy")
	}
	if !frozen && len(b.Freeze) > 0 {
		l.problem(l.place("backup.freeze"), "only the modes hook and reflink freeze: expected one of them in backup.mode")
	}
}
