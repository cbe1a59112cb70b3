#!/bin/sh
# Does what the entrypoint of PostgreSQL's image does, in words of our own; the variables are those of
# MariaDB's beside it, and BIN is the folder of the programs.
set -eu
if [ "$(id -u)" = 0 ]; then
	mkdir -p "$DATADIR"
	chmod 700 "$DATADIR"
	find "$DATADIR" ! -user "$DBUSER" -exec chown "$DBUSER": {} +
	exec $DROP "$0" "$@"
fi
echo "$INTERLOCK_TOKEN" >>"$TOKENS"
if [ ! -s "$DATADIR/PG_VERSION" ]; then
	$INSTALL
	private=$(mktemp -d "$(dirname "$SOCKET")/init.XXXXXX")
	"$BIN/pg_ctl" -D "$DATADIR" -w -o "-c listen_addresses= -k $private" start
	"$BIN/psql" -X -q -v ON_ERROR_STOP=1 -h "$private" -U postgres postgres <<-SQL
		CREATE USER app;
		CREATE DATABASE app OWNER app;
		CREATE TABLE acked (n BIGINT PRIMARY KEY);
	SQL
	"$BIN/pg_ctl" -D "$DATADIR" -m fast -w stop
	rm -rf "$private"
fi
exec "$@"
