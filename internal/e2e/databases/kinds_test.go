package databases

import (
	"fmt"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
)

// A kind is what the tests must know of one database.
type kind struct {
	name   string // of the entrypoint's folder below testdata, too
	make   func(t testing.TB, data string) *testkit.Database
	stop   string // --stop-signal
	drop   string // program with which the entrypoint drops its user
	table  string // statements that make the table where no entrypoint does
	insert string // format with one number, which is what the server answers
	answer func(n int) string
	rows   string // statement that lists the numbers
	// What the server's own log says: of its start, of the word to stop, of a clean end, of a start after one, and of a
	// start that had to recover. Redis replays its file in any case.
	starts, told, ended, calm, recovers string
}

func number(n int) string { return fmt.Sprint(n) }

func kinds() []kind {
	return []kind{
		{name: "mariadb", make: testkit.MariaDB, stop: "TERM", drop: "gosu",
			table:  "CREATE DATABASE IF NOT EXISTS app; CREATE TABLE IF NOT EXISTS app.acked (n BIGINT PRIMARY KEY) ENGINE=InnoDB;",
			insert: "INSERT INTO app.acked VALUES (%d) RETURNING n;", answer: number, rows: "SELECT n FROM app.acked;",
			starts: "Starting MariaDB", told: "Normal shutdown", ended: ": Shutdown complete", calm: "ready for connections", recovers: "Starting crash recovery"},
		{name: "postgresql", make: testkit.PostgreSQL, stop: "INT", drop: "setpriv",
			table:  "SET client_min_messages = warning; CREATE TABLE IF NOT EXISTS acked (n BIGINT PRIMARY KEY);",
			insert: "INSERT INTO acked VALUES (%d) RETURNING n;", answer: number, rows: "SELECT n FROM acked;",
			starts: "starting PostgreSQL", told: "shutdown request", ended: "database system is shut down", calm: "database system was shut down", recovers: "automatic recovery in progress"},
		{name: "redis", make: testkit.Redis, stop: "TERM", drop: "setpriv",
			insert: "SADD acked %d", answer: func(int) string { return "1" }, rows: "SMEMBERS acked",
			starts: "Redis is starting", told: "Received SIG", ended: "Redis is now ready to exit", calm: "DB loaded from append only file"},
	}
}

// eachKind runs a test for every database.
func eachKind(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Parallel()
	testkit.RequireRoot(t)
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			test(t, newRig(t, k))
		})
	}
}

func kindNamed(t testing.TB, name string) kind {
	t.Helper()
	for _, k := range kinds() {
		if k.name == name {
			return k
		}
	}
	t.Fatalf("no kind %s", name)
	return kind{}
}
