package databases

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// limit bounds what takes a second or two on a machine that has nothing else to do.
const limit = 40 * time.Second

// A rig is one database on one data directory under one lock in etcd, and a watch over who has it open.
type rig struct {
	*scene.Scene
	kind
	db     *testkit.Database
	etcd   *testkit.EtcdServer
	watch  *watch
	tokens string // file of the entrypoint
	bin    string // folder of the entrypoint
	next   int    // row

	writers []*writer // all there were
}

func newRig(t testing.TB, k kind) *rig {
	t.Helper()
	testkit.Binary(t) // so that no test measures a compiler
	s := scene.New(t)
	return newRigOn(t, k, s, s.Data)
}

// newRigOn takes a scene whose --data lies where the test wants it, and the server's own data directory.
func newRigOn(t testing.TB, k kind, s *scene.Scene, data string) *rig {
	t.Helper()
	s.Timing = unhurried()
	r := &rig{Scene: s, kind: k, db: k.make(t, data), etcd: testkit.SharedEtcd(t),
		tokens: filepath.Join(s.Dir, "tokens"), bin: filepath.Join(s.Dir, "bin")}
	r.Lock = "etcd://" + r.etcd.Addr() + "/interlock/" + filepath.Base(s.Dir)
	if code, _, errs := scene.Interlock(t, "lock", "init", "--lock", r.Lock); code != 0 {
		t.Fatalf("lock init: %d: %s", code, errs)
	}
	r.prepare(t)
	r.watch = startWatch(t, r)
	return r
}

// prepare puts the entrypoint where any user may run it.
func (r *rig) prepare(t testing.TB) {
	t.Helper()
	must(t, os.Mkdir(r.bin, 0o755))
	const name = "docker-entrypoint.sh"
	copyScript(t, filepath.Join(r.name, name), filepath.Join(r.bin, name))
	must(t, os.WriteFile(r.tokens, nil, 0o666))
	must(t, os.Chmod(r.tokens, 0o666))
}

func copyScript(t testing.TB, from, to string) {
	t.Helper()
	script, err := os.ReadFile(filepath.Join("testdata", from))
	must(t, err)
	testkit.WriteProgram(t, to, string(script))
}

// entrypoint is the database as its image starts it.
func (r *rig) entrypoint(more ...string) scene.Option {
	return scene.Command(append(append([]string{"docker-entrypoint.sh"}, r.db.Server...), more...)...)
}

// env is what the entrypoint reads.
func (r *rig) env() scene.Option {
	drop := "gosu " + r.db.User
	if r.drop == "setpriv" {
		drop = "setpriv --reuid=" + r.db.User + " --regid=" + r.db.User + " --init-groups"
	}
	return scene.Env("PATH="+r.bin+":"+os.Getenv("PATH"), "DATADIR="+r.db.Data, "SOCKET="+r.db.Socket, "DBUSER="+r.db.User,
		"DROP="+drop, "INSTALL="+strings.Join(r.db.Install, " "), "TOKENS="+r.tokens, "BIN="+testkit.PostgreSQLBin())
}

// start runs a job with the entrypoint, unless an option says otherwise.
func (r *rig) start(t testing.TB, holder string, options ...scene.Option) *scene.Job {
	t.Helper()
	all := []scene.Option{r.entrypoint(), r.env(), scene.Flags("--stop-signal", r.stop)}
	return r.Run(t, holder, append(all, options...)...)
}

// serves waits until the server of this job answers.
func (r *rig) serves(t testing.TB, j *scene.Job) scene.Status {
	t.Helper()
	st := j.WaitPhase(t, limit, "serving")
	waitFor(t, func() (bool, string) {
		select {
		case <-j.Exited():
			t.Fatalf("%s ended before its server answered: %s", j.Holder, j.ReasonText())
		default:
		}
		_, err := os.Stat(r.db.Socket)
		return err == nil, fmt.Sprint(err)
	})
	r.db.WaitReady(t, limit)
	return st
}

// loseLock removes the keys of the queue: the service has given the lock away.
func (r *rig) loseLock(t testing.TB) {
	t.Helper()
	name := "interlock/" + filepath.Base(r.Dir) + "/"
	out, err := r.etcd.Ctl("del", "--prefix", name)
	if err != nil || strings.TrimSpace(out) == "0" {
		t.Fatalf("del %s: %q, %v: expected a key", name, out, err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// unhurried is scene.Quick with a kill budget for a machine that has many databases to run.
func unhurried() []string {
	return []string{"--hold", "12s", "--heartbeat", "500ms", "--try-timeout", "500ms", "--tries", "3",
		"--grace", "500ms", "--kill-budget", "5s", "--margin", "200ms"}
}

// soon is grace and kill budget of that; quick is a server's own way down.
const soon, quick = 2500 * time.Millisecond, 4 * time.Second

func appendFile(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func onPath(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}
