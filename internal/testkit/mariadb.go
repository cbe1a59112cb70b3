package testkit

import (
	"os"
	"path/filepath"
	"testing"
)

// MariaDB is Debian's mariadbd on this data directory, with small buffers and
// the default durability; root needs no password. Skipped without it.
func MariaDB(t testing.TB, data string) *Database {
	t.Helper()
	server := sbin("mariadbd")
	d := newDatabase(t, "mariadb", data, map[string]string{
		server: "mariadb-server", "mariadb-install-db": "mariadb-server", "mariadb": "mariadb-client"})
	d.runsAs(t, "mysql")
	small := []string{"--datadir=" + data, "--tmpdir=" + filepath.Dir(d.Socket), "--innodb-log-file-size=8M", "--innodb-buffer-pool-size=16M"}
	d.Install = append([]string{"mariadb-install-db", "--no-defaults", "--skip-test-db", "--auth-root-authentication-method=normal"}, small...)
	d.Server = append([]string{server, "--no-defaults", "--skip-networking", "--socket=" + d.Socket}, small...)
	d.client = []string{"mariadb", "--no-defaults", "--user=root", "--socket=" + d.Socket, "--batch", "--skip-column-names", "--unbuffered"}
	d.version(t, server, "--version")
	return d
}

// sbin finds what an ordinary user has not in the PATH.
func sbin(program string) string {
	if _, err := os.Stat("/usr/sbin/" + program); err == nil {
		return "/usr/sbin/" + program
	}
	return program
}
