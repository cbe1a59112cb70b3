package presets

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
)

// A kind is what the tests must know of a server.
type kind struct {
	make    func(t testing.TB, data string) *testkit.Database
	flags   []string // of the server
	prepare func(r *rig)
	fill    string
	table   string // for rows that come while a backup is made
	insert  string // format with a number
	rows    string // how many there are, and the last
	sum     string // a query that tells the content
}

func mariadb() kind {
	return kind{make: testkit.MariaDB,
		fill: "CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY, v VARCHAR(400)) ENGINE=InnoDB;" +
			"INSERT INTO app.t SELECT seq, REPEAT(MD5(seq), 10) FROM app.seq_1_to_20000; CREATE USER bad@localhost IDENTIFIED BY 'right'; GRANT ALL ON *.* TO bad@localhost;",
		table: "CREATE TABLE app.acked (n BIGINT PRIMARY KEY) ENGINE=InnoDB;", insert: "INSERT INTO app.acked VALUES (%d) RETURNING n;",
		rows: "SELECT COUNT(*), MAX(n) FROM app.acked;", sum: "SELECT COUNT(*), SUM(CRC32(CONCAT(id, v))) FROM app.t;"}
}

func postgres() kind {
	return kind{make: testkit.PostgreSQL, prepare: func(r *rig) {
		path := filepath.Join(r.db.Data, "pg_hba.conf")
		old, err := os.ReadFile(path)
		must(r, err)
		rules := "local all bad scram-sha-256\nlocal replication bad scram-sha-256\n"
		must(r, os.WriteFile(path, append([]byte(rules), old...), 0o600))
	},
		fill:  "CREATE TABLE t AS SELECT g AS id, repeat(md5(g::text), 10) AS v FROM generate_series(1, 20000) g; CREATE ROLE bad LOGIN SUPERUSER PASSWORD 'right';",
		table: "CREATE TABLE acked (n BIGINT PRIMARY KEY);", insert: "INSERT INTO acked VALUES (%d) RETURNING n;",
		rows: "SELECT count(*) || ' ' || max(n) FROM acked;",
		sum:  "SELECT count(*), md5(string_agg(id || v, '' ORDER BY id)) FROM t;"}
}

func redis() kind {
	return kind{make: testkit.Redis, flags: []string{"--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0"},
		fill: "DEBUG POPULATE 20000 key 300", sum: "DEBUG DIGEST"}
}
