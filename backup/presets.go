package backup

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A preset is how one database is dumped, how success is told, and what verifies it.
type preset struct {
	name    string
	argv    func(r request) []string
	stream  func(args []string) string // the name in the snapshot
	rule    func(r *recipe, args []string)
	file    bool // the command writes a file, which is published as a tree
	program string
}

// A request is what a preset's command is made of.
type request struct {
	args []string // of the user
	data string   // may be empty
	temp string   // a folder of the command's user
}

func presets() []preset {
	return []preset{
		{name: "mariadb-dump", program: "mariadb-dump", argv: mariadbDump, stream: named("dump.sql"), rule: func(r *recipe, _ []string) {
			r.trailer = endsWithLine("-- Dump completed", 1)
		}},
		{name: "mariadb-backup", program: "mariadb-backup", argv: mariadbBackup, stream: named("backup.xb"), rule: func(r *recipe, _ []string) {
			r.words, r.trailer = endsWithWords("completed OK!"), xbstreamEnds
		}},
		{name: "postgres-dump", program: "pg_dump", argv: postgresDump, stream: postgresDumpName, rule: postgresDumpRule},
		{name: "postgres-basebackup", program: "pg_basebackup", argv: postgresBase, stream: named("base.tar"), rule: func(r *recipe, _ []string) {
			r.trailer = tarEnds
		}},
		{name: "redis-rdb", program: "redis-cli", argv: redisRDB, stream: named("dump.rdb"), file: true, rule: func(r *recipe, _ []string) {
			r.verify = []string{"redis-check-rdb"} // and the file's path
		}},
	}
}

// Presets lists the names of all presets.
func Presets() []string {
	var names []string
	for _, p := range presets() {
		names = append(names, p.name)
	}
	return names
}

func presetOf(name string) (preset, bool) {
	all := presets()
	i := slices.IndexFunc(all, func(p preset) bool { return p.name == name })
	if i < 0 {
		return preset{}, false
	}
	return all[i], true
}

// recipe is the command of mode command.
func (t *taking) recipe() (recipe, error) {
	if t.src.Preset == "" {
		return recipe{argv: t.src.Exec, name: "dump"}, nil
	}
	p, _ := presetOf(t.src.Preset)
	temp, err := t.work.folder("temp")
	if err != nil {
		return recipe{}, err
	}
	r := recipe{argv: p.argv(request{t.src.Exec, t.src.Data, temp.seen}), name: p.stream(t.src.Exec), temp: temp}
	p.rule(&r, t.src.Exec)
	return r, nil
}

// mariadbDump puts the user's arguments first, since --defaults-file and its like must be. What ours say
// later wins. All databases, unless some are named.
func mariadbDump(r request) []string {
	argv := append([]string{"mariadb-dump"}, r.args...)
	argv = append(argv, "--single-transaction", "--quick", "--routines", "--events", "--triggers")
	if !slices.ContainsFunc(r.args, choosesDatabases) {
		argv = append(argv, "--all-databases")
	}
	return argv
}

func choosesDatabases(arg string) bool {
	return !strings.HasPrefix(arg, "-") || arg == "-A" || arg == "-B" || arg == "--databases" || arg == "--all-databases"
}

func mariadbBackup(r request) []string {
	argv := append([]string{"mariadb-backup"}, r.args...)
	argv = append(argv, "--backup", "--stream=xbstream", "--target-dir="+r.temp)
	if r.data != "" {
		argv = append(argv, "--datadir="+r.data)
	}
	return argv
}

func postgresDump(r request) []string {
	argv := []string{"pg_dump", "--no-password"}
	if !plainDump(r.args) {
		argv = append(argv, "--format=custom")
	}
	return append(argv, r.args...)
}

// plainDump tells whether the user wants SQL rather than an archive.
func plainDump(args []string) bool {
	for i, a := range args {
		value, long := strings.CutPrefix(a, "--format=")
		if !long {
			value, _ = strings.CutPrefix(a, "-F")
		}
		if (a == "-F" || a == "--format") && i+1 < len(args) {
			value = args[i+1]
		}
		if value == "p" || value == "plain" {
			return true
		}
	}
	return false
}

func postgresDumpName(args []string) string {
	if plainDump(args) {
		return "dump.sql"
	}
	return "dump.pgdump"
}

// postgresDumpRule: of SQL the completion line, which other lines follow in newer releases; an archive is
// read whole by pg_restore (its --list takes one that is cut off for a good one).
func postgresDumpRule(r *recipe, args []string) {
	if plainDump(args) {
		r.trailer = endsWithLine("-- PostgreSQL database dump complete", 10)
		return
	}
	r.verify = []string{"pg_restore", "--file=/dev/null"}
}

func postgresBase(r request) []string {
	argv := []string{"pg_basebackup", "--pgdata=-", "--format=tar", "--wal-method=fetch", "--checkpoint=fast", "--no-password"}
	return append(argv, r.args...)
}

// redisRDB never writes into a pipe: there the tool appends a mark of its own.
func redisRDB(r request) []string {
	return append(append([]string{"redis-cli"}, r.args...), "--rdb", r.temp+"/dump.rdb")
}

func named(name string) func([]string) string { return func([]string) string { return name } }

func endsWithWords(text string) func(string) error {
	return func(stderr string) error {
		if strings.HasSuffix(strings.TrimRight(stderr, "\r\n "), text) {
			return nil
		}
		return errors.New("expected it to say " + fmt.Sprintf("%q", text) + " at its end")
	}
}

// packageHint names the Debian package of a tool.
func packageHint(program string) string {
	packages := map[string]string{
		"mariadb-dump": "mariadb-client", "mariadb-backup": "mariadb-backup", "pg_dump": "postgresql-client",
		"pg_restore": "postgresql-client", "pg_basebackup": "postgresql-client", "redis-cli": "redis-tools",
		"redis-check-rdb": "redis-tools",
	}
	if pkg, known := packages[program]; known {
		return ": install it (Debian: " + pkg + ")"
	}
	return ": install it, or give its whole path"
}
