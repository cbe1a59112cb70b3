package pull

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/interlock-run/interlock/internal/snapshot"
)

// Presets of backups whose stream needs no server to be loaded.
const (
	presetMariaDBBackup = "mariadb-backup"
	presetBaseBackup    = "postgres-basebackup"
	presetRedis         = "redis-rdb" // a tree with one file
)

// NeedsCommand tells whether a snapshot can be restored only by a command of the user's: it is what a command
// has written, and no loader of it is known.
func NeedsCommand(a snapshot.About) bool {
	return a.Mode == modeCommand && a.Preset != presetRedis && len(Loaders(a.Preset, "")) == 0
}

// modeCommand is the About.Mode of what a command has written.
const modeCommand = "command"

// Loaders are the commands that load the stream of a preset into an empty data directory, the first one from
// its stdin; none where the preset needs a server (mariadb-dump, postgres-dump) or is a tree of files
// (redis-rdb): then the user says how, or it is restored as files. Copies made by pg_verifybackup's standard
// are checked by it before they are called whole.
func Loaders(preset, data string) [][]string {
	switch preset {
	case presetMariaDBBackup:
		return [][]string{
			{"mbstream", "-x", "-C", data},
			{"mariadb-backup", "--prepare", "--target-dir=" + data},
		}
	case presetBaseBackup:
		return [][]string{
			{"tar", "-x", "-p", "--numeric-owner", "-C", data, "-f", "-"},
			{pgVerify, data},
		}
	}
	return nil
}

// pgVerify is looked up once the data is there: Debian keeps one for each version, out of the PATH.
const pgVerify = "pg_verifybackup"

// settle finds the program of a command that depends on what was loaded.
func (c *Command) settle(data string) {
	if len(c.Argv) == 0 || c.Argv[0] != pgVerify {
		return
	}
	version, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if err != nil {
		return // then it is looked for in the PATH, and says what is missing
	}
	at := filepath.Join("/usr/lib/postgresql", strings.TrimSpace(string(version)), "bin", pgVerify)
	if info, err := os.Stat(at); err == nil && info.Mode().IsRegular() {
		c.Argv = append([]string{at}, c.Argv[1:]...)
	}
}
