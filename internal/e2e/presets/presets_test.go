package presets

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/interlock-run/interlock/backup"
	"github.com/interlock-run/interlock/internal/snapshot"
)

// A play is one preset with all that may go wrong with it, and a restore.
type play struct {
	name, preset, tool string
	kind               func() kind
	args               func(r *rig) []string // how the tool finds the server
	bad                func(r *rig) backup.Source
	data               bool // the tool reads the data directory itself
	denied             string
	cut                string // script: the tool with its end lost, and success all the same
	cutSays            string
	restore            func(r *rig, s snapshot.Snapshot, data string)
}

// What scripts do with a tool that writes to its standard output: midway comes once it has written some.
const (
	cutStream  = `set -o pipefail; $real "$@" | head -c -200`
	midway     = `p=$(mktemp -u "$TOOLS"/fifo.XXXX); mkfifo $p; $real "$@" >$p & pid=$!; exec 5<$p; rm $p; head -c 20000 <&5; `
	killTool   = midway + `kill -9 $pid; wait $pid; exit $?`
	killServer = midway + `kill -9 $SERVER; cat <&5; wait $pid; exit $?`
)

func mariadbArgs(r *rig) []string {
	return []string{"--no-defaults", "--user=root", "--socket=" + r.db.Socket}
}

func postgresArgs(r *rig) []string {
	return []string{"--host=" + filepath.Dir(r.db.Socket), "--port=5432", "--username=postgres"}
}

func postgresBad(preset string, args ...string) func(r *rig) backup.Source {
	return func(r *rig) backup.Source {
		s := r.source(preset, append([]string{"--host=" + filepath.Dir(r.db.Socket), "--port=5432", "--username=bad"}, args...)...)
		s.Run = r.process("PGPASSWORD=wrong")
		return s
	}
}

func plays() []play {
	return []play{
		{name: "mariadb-dump", preset: "mariadb-dump", tool: "mariadb-dump", kind: mariadb,
			args: func(r *rig) []string { return append(mariadbArgs(r), "--databases", "app") },
			bad: func(r *rig) backup.Source {
				return r.source("mariadb-dump", "--no-defaults", "--user=bad", "--password=wrong", "--socket="+r.db.Socket)
			},
			denied: "Access denied", cut: cutStream, cutSays: "-- Dump completed",
			restore: func(r *rig, s snapshot.Snapshot, data string) {
				r.serve(data)
				r.fed(r.stream(s), "mariadb", "--no-defaults", "--user=root", "--socket="+r.db.Socket)
			}},
		{name: "mariadb-backup", preset: "mariadb-backup", tool: "mariadb-backup", kind: mariadb, args: mariadbArgs, data: true,
			bad: func(r *rig) backup.Source {
				s := r.source("mariadb-backup", "--no-defaults", "--user=bad", "--password=wrong", "--socket="+r.db.Socket)
				s.Data = r.db.Data
				return s
			},
			denied: "Access denied", cut: cutStream, cutSays: "xbstream is cut off",
			restore: func(r *rig, s snapshot.Snapshot, data string) {
				must(r, os.Mkdir(data, 0o700))
				r.fed(r.stream(s), "mbstream", "-x", "-C", data)
				r.command("mariadb-backup", "--no-defaults", "--prepare", "--target-dir="+data)
				r.serve(data)
			}},
		{name: "postgres-dump", preset: "postgres-dump", tool: "pg_dump", kind: postgres, denied: "password", cut: cutStream, cutSays: "pg_restore",
			args: func(r *rig) []string { return append(postgresArgs(r), "postgres") },
			bad:  postgresBad("postgres-dump", "postgres"),
			restore: func(r *rig, s snapshot.Snapshot, data string) {
				r.serve(data)
				r.fed(r.stream(s), append([]string{"pg_restore", "--exit-on-error", "--no-owner", "--dbname=postgres"}, postgresArgs(r)...)...)
			}},
		{name: "postgres-dump plain", preset: "postgres-dump", tool: "pg_dump", kind: postgres, denied: "password", cut: cutStream, cutSays: "database dump complete",
			args: func(r *rig) []string { return append(postgresArgs(r), "-Fp", "postgres") },
			bad:  postgresBad("postgres-dump", "-Fp", "postgres"),
			restore: func(r *rig, s snapshot.Snapshot, data string) {
				r.serve(data)
				r.fed(r.stream(s), append([]string{"psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "--dbname=postgres"}, postgresArgs(r)...)...)
			}},
		{name: "postgres-basebackup", preset: "postgres-basebackup", tool: "pg_basebackup", kind: postgres, args: postgresArgs,
			bad: postgresBad("postgres-basebackup"), denied: "password", cut: cutStream, cutSays: "tar is cut off",
			restore: func(r *rig, s snapshot.Snapshot, data string) {
				must(r, os.Mkdir(data, 0o700))
				r.fed(r.stream(s), "tar", "-x", "-C", data)
				r.command(verifybackup(r), "--quiet", data)
				r.serve(data)
			}},
		{name: "redis-rdb", preset: "redis-rdb", tool: "redis-cli", kind: redis,
			args:   func(r *rig) []string { return []string{"-s", r.db.Socket} },
			denied: "WRONGPASS", cut: `$real "$@" && truncate -s -100 "${@: -1}"`, cutSays: "not verified",
			restore: func(r *rig, s snapshot.Snapshot, data string) {
				r.tree(s, data)
				r.serve(data, "--appendonly", "no")
			}},
	}
}

// TestPresets takes one good backup of each preset, then everything goes wrong once, and then the good one
// is restored into a fresh server.
func TestPresets(t *testing.T) {
	t.Parallel()
	for _, p := range plays() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, p.kind())
			r.serve(filepath.Join(testPublic(t), "data"))
			r.db.Query(t, r.kind.fill)
			want := r.db.Query(t, r.kind.sum)
			src := p.source(r)
			good := r.takes(src).Snapshot
			p.fails(r, src)
			r.serverDies(p, src)
			p.restore(r, good, filepath.Join(testPublic(t), "restored"))
			if got := r.db.Query(t, r.kind.sum); got != want {
				t.Errorf("restored: %q, want %q", got, want)
			}
		})
	}
}

func (p play) source(r *rig) backup.Source {
	s := r.source(p.preset, p.args(r)...)
	if p.data || p.preset == "redis-rdb" {
		s.Data = r.db.Data
	}
	return s
}

// fails is what goes wrong while the server lives.
func (p play) fails(r *rig, src backup.Source) {
	r.Helper()
	r.wraps(p.tool, p.cut)
	r.refuses("truncated", src, backup.ErrCommand, p.cutSays)
	kill := killTool
	if p.preset == "redis-rdb" {
		kill = `$real "$@" & pid=$!; kill -9 $pid; wait $pid; exit $?`
	}
	r.wraps(p.tool, kill)
	r.refuses("tool killed", src, backup.ErrCommand, p.tool)
	r.wraps(p.tool, "")
	lost := src
	lost.Run.Env = append(append([]string{}, src.Run.Env...), "PATH=/nonexistent")
	if p.preset == "redis-rdb" || p.preset == "mariadb-dump" { // others are also found where Debian keeps them
		r.refuses("no tool", lost, backup.ErrTool, "Debian: ")
	}
	if p.bad != nil {
		r.refuses("wrong password", p.bad(r), backup.ErrCommand, p.denied)
		return
	}
	r.db.Query(r, "CONFIG SET requirepass right")
	bad := src
	bad.Exec = append(append([]string{}, src.Exec...), "-a", "wrong")
	r.refuses("wrong password", bad, backup.ErrCommand, p.denied)
}

// serverDies ends the server in the middle of a backup.
func (r *rig) serverDies(p play, src backup.Source) {
	r.Helper()
	kill := killServer
	if p.preset == "redis-rdb" {
		src.Exec = append(append([]string{}, src.Exec...), "-a", "right")
		kill = `kill -STOP $SERVER; $real "$@" & pid=$!; sleep 0.3; kill -9 $SERVER; wait $pid; exit $?`
	}
	r.wraps(p.tool, kill)
	r.refuses("server killed", src, backup.ErrCommand, p.tool)
	r.server.Wait(r, limit)
	r.wraps(p.tool, "")
}
