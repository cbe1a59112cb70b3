#!/bin/sh
# Does what the entrypoint of MariaDB's image does, in words of our own: as root give the data to the
# server's user and come back as that user; fill an empty directory with the help of a temporary server;
# become the server.
#   DATADIR, SOCKET, DBUSER   of the server
#   DROP                      becomes DBUSER: "gosu mysql"; unset where somebody else has done so
#   INSTALL                   fills DATADIR
#   TOKENS                    file that gets a line with the token, before anything touches the data
set -eu
if [ "$(id -u)" = 0 ]; then
	find "$DATADIR" ! -user "$DBUSER" -exec chown "$DBUSER": {} +
	exec $DROP "$0" "$@"
fi
echo "$INTERLOCK_TOKEN" >>"$TOKENS"
ask() { mariadb --no-defaults --user=root --socket="$SOCKET.init" "$@"; }
if [ ! -d "$DATADIR/mysql" ]; then
	$INSTALL
	"$@" --socket="$SOCKET.init" &
	server=$!
	tries=0
	until ask --execute='SELECT 1' >/dev/null 2>&1; do
		tries=$((tries + 1))
		if [ $tries -ge 300 ]; then echo "the temporary server does not answer" >&2; exit 1; fi
		sleep 0.1
	done
	ask <<-SQL
		CREATE DATABASE app;
		CREATE USER app@localhost IDENTIFIED BY 'secret';
		GRANT ALL ON app.* TO app@localhost;
		CREATE TABLE app.acked (n BIGINT PRIMARY KEY) ENGINE=InnoDB;
	SQL
	kill "$server"
	wait "$server"
fi
exec "$@"
