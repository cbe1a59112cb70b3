package vault

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// A kind is what the tests must know of one database server.
type kind struct {
	name, preset string
	make         func(t testing.TB, data string) *testkit.Database
	args         func(d *testkit.Database) []string // of the preset's command: how it reaches the server
	stop         string
	table        string
	insert       string // format with one number, which is what the server answers
	rows, sum    string
}

func kinds() []kind {
	return []kind{
		{name: "mariadb", preset: "mariadb-backup", make: testkit.MariaDB, stop: "TERM",
			args: func(d *testkit.Database) []string {
				return []string{"--no-defaults", "--user=root", "--socket=" + d.Socket}
			},
			table:  "CREATE DATABASE app; CREATE TABLE app.acked (n BIGINT PRIMARY KEY, s VARCHAR(200)) ENGINE=InnoDB;",
			insert: "INSERT INTO app.acked VALUES (%d, RPAD('x', 200, UUID())) RETURNING n;",
			rows:   "SELECT COUNT(*) FROM app.acked;", sum: "CHECKSUM TABLE app.acked EXTENDED;"},
		{name: "postgresql", preset: "postgres-basebackup", make: testkit.PostgreSQL, stop: "INT",
			args: func(d *testkit.Database) []string {
				return []string{"--host=" + filepath.Dir(d.Socket), "--port=5432", "--username=postgres"}
			},
			table:  "SET client_min_messages = warning; CREATE TABLE acked (n BIGINT PRIMARY KEY, s TEXT);",
			insert: "INSERT INTO acked VALUES (%d, md5(random()::text)) RETURNING n;",
			rows:   "SELECT COUNT(*) FROM acked;", sum: "SELECT md5(string_agg(n || s, ',' ORDER BY n)) FROM acked;"},
	}
}

// A rig is one database on one node, in its own data directory.
type rig struct {
	kind
	*node
	db *testkit.Database
}

func (v *vault) rig(t testing.TB, k kind, name string) *rig {
	t.Helper()
	n := v.node(t, name)
	must(t, os.Chmod(n.Data, 0o700)) // PostgreSQL asks for it
	r := &rig{k, n, k.make(t, n.Data)}
	r.db.Own(t, n.Data)
	return r
}

// start runs the server on the store, with backups by its preset and one more at a stop.
func (r *rig) start(t testing.TB, more ...string) *scene.Job {
	t.Helper()
	args, err := json.Marshal(r.args(r.db))
	must(t, err)
	flags := []string{"--backup-schedule", "1s", "--backup-preset", r.preset, "--backup-exec", string(args), "--backup-on-stop",
		"--backup-timeout", "60s", "--backup-keep-last", "4", "--stop-signal", r.stop, "--user", r.db.User}
	j := r.node.start(t, scene.Flags(flags...), scene.Flags(more...), scene.Env("TMPDIR=/tmp"), scene.Command(r.db.Server...))
	j.WaitPhase(t, limit, "serving")
	r.db.WaitReady(t, limit)
	return j
}

// unhurried gives the kill a time for a machine that has databases to run.
func unhurried() []string {
	return []string{"--hold", "6s", "--heartbeat", "500ms", "--try-timeout", "500ms", "--tries", "3",
		"--grace", "500ms", "--kill-budget", "2s", "--margin", "200ms"}
}

// write inserts n rows, each acknowledged, from first on.
func (r *rig) write(t testing.TB, first, n int) {
	t.Helper()
	s := r.db.Open(t)
	for i := first; i < first+n; i++ {
		got, err := s.Ask(fmt.Sprintf(r.insert, i), limit)
		if err != nil || got != fmt.Sprint(i) {
			t.Fatalf("row %d: %q, %v", i, got, err)
		}
	}
	s.Close(t)
}

// state is how many rows there are, and the checksum of all.
func (r *rig) state(t testing.TB) string {
	t.Helper()
	return r.db.Query(t, r.rows) + " rows, sum " + sumOf(r.db.Query(t, r.sum))
}

// sumOf is the sum without the table's name before it.
func sumOf(answer string) string {
	f := strings.Fields(answer)
	return f[len(f)-1]
}

// published waits for a snapshot that began after now.
func (r *rig) published(t testing.TB, j *scene.Job) {
	t.Helper()
	now := time.Now().UTC().Format("20060102T150405Z")
	testkit.Wait(t, limit, func() (bool, string) {
		st, err := j.Status()
		if err != nil {
			return false, err.Error()
		}
		return st.Snapshots.Newest > now+"~", fmt.Sprintf("newest %s, now %s, %+v", st.Snapshots.Newest, now, *st.Snapshots)
	})
}

// is compares the rows, and shows the log where they differ.
func (r *rig) is(t testing.TB, want, after string, j *scene.Job) {
	t.Helper()
	if got := r.state(t); got != want {
		t.Errorf("%s after %s: %s, expected %s\n%s", r.kind.name, after, got, want, j.Stderr(t))
	}
}

// A database under interlock: backups by its preset, the crash of the whole node, failover to an empty
// directory and restore of the stream from S3; then an ordinary stop with a last, cold snapshot, and another
// empty directory. The rows acknowledged before the last published snapshot are there, every time.
func TestDatabaseComesBackFromS3(t *testing.T) {
	t.Parallel()
	testkit.RequireRoot(t)
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			v, _ := contended(t)
			v.flags, v.Timing = v.direct(), unhurried()
			a := v.rig(t, k, "a")
			argv := a.db.AsUser(a.db.Install...)
			if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %v: %s", argv, err, out)
			}
			ja := a.start(t) // adopts what the installation made
			a.db.Query(t, a.table)
			a.write(t, 1, 300)
			want := a.state(t)
			a.published(t, ja)
			crash(t, ja)

			b := v.rig(t, k, "b")
			jb := b.start(t)
			b.is(t, want, "the failover", jb)
			b.write(t, 1001, 200)
			want = b.state(t)
			if code := jb.Stop(t); code != 0 {
				t.Fatalf("stop: %d: %s\n%s", code, jb.ReasonText(), jb.Stderr(t))
			}

			c := v.rig(t, k, "c")
			jc := c.start(t)
			c.is(t, want, "the restore of the last snapshot", jc)
			jc.Stop(t)

			// The first node's data is overtaken, and is not started on unasked.
			ja = a.node.start(t, scene.Flags("--user", a.db.User), scene.Command(a.db.Server...))
			if reason := ja.Expect(t, limit, 73); !strings.Contains(reason, "overtaken") {
				t.Errorf("reason %q", reason)
			}
			ja = a.start(t, "--restore-diverged", "replace")
			a.is(t, want, "the restore over what was overtaken", ja)
			ja.Stop(t)
			if code, out := v.verb(t, "verify", "--all"); code != 0 {
				t.Errorf("verify: %d: %s", code, out)
			}
		})
	}
}

// crash kills guard and agent at once: the node is gone, nothing is released.
func crash(t testing.TB, j *scene.Job) {
	t.Helper()
	all := testkit.Snapshot(t, j.Pid())
	agent, guard := j.Agent(t), j.Guard(t)
	scene.Kill(t, agent, syscall.SIGKILL)
	scene.Kill(t, guard, syscall.SIGKILL)
	j.Wait(t, limit)
	all.WaitGone(t, limit)
}
