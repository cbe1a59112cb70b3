# install.sh PACKAGE... - install Debian packages without starting their daemons.
# Run as root. policy-rc.d says 101 ("do not start") while this runs and is
# put back afterwards, also after a run that was killed. PostgreSQL's package
# makes no cluster of its own meanwhile.
set -eu
policy=/usr/sbin/policy-rc.d
saved=/usr/sbin/policy-rc.d.interlock-saved
clusters=/etc/postgresql-common/createcluster.d
mark='# placed by interlock testrun'
export DEBIAN_FRONTEND=noninteractive

exec 9>/run/lock/interlock-testrun.lock
flock -w 600 9

restore() {
	if [ -e "$policy" ] && grep -qF "$mark" "$policy"; then rm -f "$policy"; fi
	if [ -e "$saved" ] || [ -L "$saved" ]; then mv -f "$saved" "$policy"; fi
	rm -f "$clusters/interlock-testrun.conf"
	rmdir -p --ignore-fail-on-non-empty "$clusters" 2>/dev/null || :
}
trap restore EXIT
trap 'exit 130' HUP INT TERM
restore
if [ -e "$policy" ] || [ -L "$policy" ]; then mv "$policy" "$saved"; fi
printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy"
chmod 755 "$policy"
mkdir -p "$clusters"
printf '%s\ncreate_main_cluster = false\n' "$mark" >"$clusters/interlock-testrun.conf"

get() { apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends "$@" 9>&-; }
known() { for p; do apt-cache policy "$p" | grep -q 'Candidate: [^(]' || return 1; done; }
if known "$@" && get "$@"; then exit 0; fi
apt-get -o DPkg::Lock::Timeout=300 -q update 9>&-
get "$@"
