package pull

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/restore"
)

// serverScene is a scene whose directories a database's user may reach.
func serverScene(t *testing.T) *scene {
	t.Helper()
	root := testkit.PublicDir(t)
	return sceneIn(t, root)
}

// serve runs a server until the test, or stop, ends it.
func serve(t *testing.T, d *testkit.Database) (stop func()) {
	t.Helper()
	argv := d.AsUser(d.Server...)
	p := testkit.StartCmd(t, exec.Command(argv[0], argv[1:]...))
	d.WaitReady(t, limit)
	return func() {
		p.Signal(t, syscall.SIGTERM)
		p.Wait(t, limit)
	}
}

// output runs a tool of the database's as its user, and gives its stdout.
func output(t *testing.T, d *testkit.Database, argv ...string) []byte {
	t.Helper()
	argv = d.AsUser(argv...)
	cmd := exec.Command(argv[0], argv[1:]...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v: %s", argv, err, errs.String())
	}
	return out
}

// loaded restores a stream by its preset's own commands, as the database's user.
func (s *scene) loaded(t *testing.T, d *testkit.Database) (Result, error) {
	t.Helper()
	j := s.job(t, Settings{}, restore.Run)
	d.Own(t, s.data)
	must(t, os.Chmod(s.data, 0o700))
	out, err := os.Create(filepath.Join(t.TempDir(), "said"))
	must(t, err)
	t.Cleanup(func() { must(t, out.Close()) })
	j.Base = Command{Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=/tmp"}, Output: out, Dir: "/"}
	if d.User != "" {
		uid, gid := d.IDs(t)
		j.Base.User = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	r, err := Run(t.Context(), j)
	if err != nil {
		text, e := os.ReadFile(out.Name())
		must(t, e)
		t.Logf("%s", text[max(0, len(text)-3000):])
	}
	return r, err
}

func requireProgram(t *testing.T, names ...string) {
	t.Helper()
	for _, n := range names {
		if _, err := exec.LookPath(n); err != nil {
			testkit.Skip(t, n, err.Error())
		}
	}
}

const rowsSQL = "CREATE DATABASE d; USE d; CREATE TABLE d.t (id INT PRIMARY KEY, v TEXT) ENGINE=InnoDB; INSERT INTO d.t SELECT seq, REPEAT(MD5(seq), 20) FROM seq_1_to_5000;"

func TestMariaDBBackupStream(t *testing.T) {
	requireProgram(t, "mariadb-backup", "mbstream")
	s := serverScene(t)
	source := testkit.MariaDB(t, filepath.Join(s.from, "db"))
	must(t, os.Chmod(s.from, 0o755))
	source.Initialize(t)
	stop := serve(t, source)
	source.Query(t, rowsSQL)
	sum := source.Query(t, "CHECKSUM TABLE d.t;")
	stream := output(t, source, "mariadb-backup", "--no-defaults", "--backup", "--stream=xbstream", "--user=root", "--socket="+source.Socket, "--datadir="+source.Data)
	stop()
	s.stream(t, "mariadb-backup", bytes.NewReader(stream))
	restored := testkit.MariaDB(t, s.data)
	r, err := s.loaded(t, restored)
	must(t, err)
	if !r.Stream || s.phase() != restore.PhaseClean {
		t.Errorf("%+v, phase %s", r, s.phase())
	}
	stop = serve(t, restored)
	if got := restored.Query(t, "CHECKSUM TABLE d.t;"); got != sum {
		t.Errorf("checksum %s, expected %s", got, sum)
	}
	stop()
	// Cut short, the tool notices, or its second step does: nothing is clean.
	must(t, os.RemoveAll(s.data))
	must(t, os.Mkdir(s.data, 0o755))
	s.stream(t, "mariadb-backup", bytes.NewReader(stream[:len(stream)*2/3]))
	if _, err := s.loaded(t, restored); exit.Code(err) != exit.Restore || s.phase() != restore.PhaseRestoring {
		t.Errorf("a truncated stream: %v, phase %s", err, s.phase())
	}
}

func TestPostgresBaseBackupStream(t *testing.T) {
	requireProgram(t, "pg_basebackup", "tar")
	s := serverScene(t)
	source := testkit.PostgreSQL(t, filepath.Join(s.from, "db"))
	must(t, os.Chmod(s.from, 0o755))
	source.Initialize(t)
	stop := serve(t, source)
	source.Query(t, "CREATE TABLE t AS SELECT i, repeat(md5(i::text), 20) AS v FROM generate_series(1, 5000) i;")
	const sumSQL = "SELECT md5(string_agg(v, '' ORDER BY i)) FROM t;"
	sum := source.Query(t, sumSQL)
	host, port := pgAddress(source)
	stream := output(t, source, "pg_basebackup", "-h", host, "-p", port, "-U", "postgres", "-D", "-", "-Ft", "-X", "fetch", "-c", "fast")
	stop()
	s.stream(t, "postgres-basebackup", bytes.NewReader(stream))
	restored := testkit.PostgreSQL(t, s.data)
	r, err := s.loaded(t, restored)
	must(t, err)
	if !r.Stream || s.phase() != restore.PhaseClean {
		t.Errorf("%+v, phase %s", r, s.phase())
	}
	stop = serve(t, restored)
	if got := restored.Query(t, sumSQL); got != sum {
		t.Errorf("checksum %s, expected %s", got, sum)
	}
	stop()
	must(t, os.RemoveAll(s.data))
	must(t, os.Mkdir(s.data, 0o755))
	spoiled := bytes.Clone(stream)
	spoiled[bytes.Index(spoiled, []byte("base/1/"))+8192] ^= 1
	s.stream(t, "postgres-basebackup", bytes.NewReader(spoiled))
	if _, err := s.loaded(t, restored); exit.Code(err) != exit.Restore || s.phase() != restore.PhaseRestoring {
		t.Errorf("a spoiled stream: %v, phase %s", err, s.phase())
	}
}

func pgAddress(d *testkit.Database) (host, port string) {
	host, port = filepath.Dir(d.Socket), "5432"
	if _, after, found := strings.Cut(d.Socket, ".s.PGSQL."); found {
		port = after
	}
	return host, port
}

// A dump of Redis is a tree of one file.
func TestRedisDumpIsATree(t *testing.T) {
	s := serverScene(t)
	source := testkit.Redis(t, filepath.Join(t.TempDir(), "none"))
	must(t, os.WriteFile(filepath.Join(s.from, "dump.rdb"), []byte("REDIS0009"), 0o600))
	s.takes(t)
	s.restores(t, Settings{}, restore.Run)
	s.same(t)
	if len(Loaders("redis-rdb", s.data)) != 0 || source.Name != "redis" {
		t.Error("expected no command for a tree")
	}
}
