package testkit

import (
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// PostgreSQL is Debian's postgres on this data directory, with small buffers
// and the default durability; anybody on the socket is trusted. Skipped
// without it.
func PostgreSQL(t testing.TB, data string) *Database {
	t.Helper()
	bin := PostgreSQLBin()
	d := newDatabase(t, "postgresql", data, map[string]string{
		filepath.Join(bin, "postgres"): "postgresql", filepath.Join(bin, "initdb"): "postgresql", filepath.Join(bin, "psql"): "postgresql-client"})
	d.runsAs(t, "postgres")
	dir := filepath.Dir(d.Socket)
	d.Socket = filepath.Join(dir, ".s.PGSQL.5432") // the server's own choice
	d.Install = []string{filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"}
	d.Server = []string{filepath.Join(bin, "postgres"), "-D", data, "-k", dir, "-p", "5432", "-c", "listen_addresses=", "-c", "shared_buffers=8MB"}
	d.client = []string{filepath.Join(bin, "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", dir, "-p", "5432", "-U", "postgres", "postgres"}
	d.version(t, filepath.Join(bin, "postgres"), "--version")
	return d
}

// PostgreSQLBin is the folder of the newest PostgreSQL's programs; Debian
// keeps them out of the PATH.
func PostgreSQLBin() string {
	const root = "/usr/lib/postgresql"
	found, err := filepath.Glob(root + "/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return filepath.Join(root, "none", "bin") // shows in the skip
	}
	release := func(path string) int {
		n, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		if err != nil {
			return -1
		}
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return release(a) - release(b) }))
}
