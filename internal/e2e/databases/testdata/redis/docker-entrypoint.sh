#!/bin/sh
# Does what the entrypoint of Redis' image does, in words of our own; the variables are those of MariaDB's
# beside it.
set -eu
if [ "$(id -u)" = 0 ]; then
	find "$DATADIR" ! -user "$DBUSER" -exec chown "$DBUSER": {} +
	exec $DROP "$0" "$@"
fi
echo "$INTERLOCK_TOKEN" >>"$TOKENS"
umask 0077
exec "$@"
