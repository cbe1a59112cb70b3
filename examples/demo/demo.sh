#!/usr/bin/env bash
# The main job in a few lines: a small service under a file lock, restored at its first start; a second
# contender that waits; a kill -9 of the holder; the take-over. Needs bin/interlock and bin/ledger, takes
# about 10 seconds, leaves nothing behind.
set -eu
cd "$(dirname "$0")/../.."
interlock=$PWD/bin/interlock ledger=$PWD/bin/ledger
dir=$(mktemp -d)
pids=()
cleanup() {
  for p in "${pids[@]}"; do kill -TERM "$p" 2>/dev/null || true; done
  for p in "${pids[@]}"; do wait "$p" 2>/dev/null || true; done
  rm -rf "$dir"
}
trap cleanup EXIT
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
until_true() { # SECONDS COMMAND...: wait until the command succeeds
  local end=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || { echo "demo: not so after all: $*" >&2; cat "$dir"/*.log >&2; exit 1; }
    sleep 0.05
  done
}

mkdir "$dir/data"
printf 'opening balance (from the backup)\n' >"$dir/backup"
contend() { # NAME: one contender, told apart by its holder name
  "$interlock" run --lock "file://$dir/lock" --data "$dir/data" --holder "$1" --listen "unix:$dir/$1.sock" --log-format text \
    --hold 4s --heartbeat 300ms --try-timeout 400ms --grace 500ms --kill-budget 500ms \
    --restore-exec "[\"cp\",\"$dir/backup\",\"$dir/data/ledger\"]" \
    -- "$ledger" serve "$dir/service" "$dir/data" 2>"$dir/$1.log" &
  pids+=($!)
}
ready() { "$interlock" ready --listen "unix:$dir/$1.sock"; }

say "1. node-a takes the lock, finds an empty data directory, restores it from the backup, and serves:"
contend node-a; a=$!
until_true 10 ready node-a
"$ledger" add "$dir/service" "first entry"
cat "$dir/data/ledger"

say "2. node-b wants to run the same service. It waits, and starts nothing:"
contend node-b
until_true 10 grep -q waiting "$dir/node-b.log"
"$interlock" lock show --lock "file://$dir/lock"
"$interlock" status --listen "unix:$dir/node-b.sock" | head -3

say "3. kill -9 of node-a's interlock, both processes. Nothing of its service survives:"
agent=$(cat "/proc/$a/task/$a/children" "/proc/$a/task/"*/children 2>/dev/null | tr ' ' '\n' | sort -un | while read -r p; do
  [ -n "$p" ] && tr '\0' ' ' <"/proc/$p/cmdline" | grep -q '^interlock-agent' && echo "$p"; done | head -1)
killed=$(date +%s%N)
kill -9 "$a" "$agent"
wait "$a" 2>/dev/null || true

say "4. node-b proves that the old one is dead, or waits out its hold; then it takes over, with a higher token:"
until_true 15 ready node-b
echo "   serving again $(( ($(date +%s%N) - killed) / 1000000 )) ms after the kill"
"$ledger" add "$dir/service" "second entry"
"$interlock" status --listen "unix:$dir/node-b.sock" | grep -E '^(phase|holder|token|restore)'

say "5. the data: nothing lost, restored once, every line under its own fencing token:"
cat "$dir/data/ledger"
