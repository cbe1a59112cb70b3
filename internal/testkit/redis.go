package testkit

import "testing"

// Redis is Debian's redis-server on this data directory. A write is
// acknowledged once the append-only file is synced. Skipped without it.
func Redis(t testing.TB, data string) *Database {
	t.Helper()
	d := newDatabase(t, "redis", data, map[string]string{"redis-server": "redis-server", "redis-cli": "redis-tools"})
	d.runsAs(t, "redis")
	d.Server = []string{"redis-server", "--dir", data, "--port", "0", "--unixsocket", d.Socket, "--unixsocketperm", "777",
		"--daemonize", "no", "--save", "", "--appendonly", "yes", "--appendfsync", "always"}
	d.client = []string{"redis-cli", "-e", "-s", d.Socket}
	d.version(t, "redis-server", "--version")
	return d
}
