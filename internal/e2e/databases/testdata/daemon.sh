#!/bin/sh
# An old program around a database: it drops its user, its command sends the server into the background in a
# session of its own, and it stays only to be there. The variables are those of mariadb/docker-entrypoint.sh.
set -eu
if [ "$(id -u)" = 0 ]; then exec $DROP "$0" "$@"; fi
echo "$INTERLOCK_TOKEN" >>"$TOKENS"
"$@"
exec sleep 3600
