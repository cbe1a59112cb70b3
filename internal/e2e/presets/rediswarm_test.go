package presets

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// Redis is warm after a start with an empty directory: its RDB comes out of the store, and the run is ready once
// Redis has read it.
func TestRedisComesBackWarm(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"redis-server", "redis-cli"} {
		if _, err := exec.LookPath(program); err != nil {
			testkit.Skip(t, "redis", program+" is not there (Debian: redis-server, redis-tools)")
		}
	}
	s := scene.New(t)
	socket, store := filepath.Join(s.Dir, "r"), filepath.Join(s.Dir, "store")
	if err := os.Mkdir(store, 0o755); err != nil {
		t.Fatal(err)
	}
	if code, out, problem := scene.Interlock(t, "store", "init", "--store", "file://"+store); code != 0 {
		t.Fatal(code, out, problem)
	}
	cli := func(args ...string) string {
		out, _ := exec.Command("redis-cli", append([]string{"-s", socket}, args...)...).CombinedOutput() // not there yet: no answer
		return strings.TrimSpace(string(out))
	}
	start := func() *scene.Job {
		return s.Run(t, "redis", scene.Command("redis-server", "--dir", s.Data, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no"),
			scene.Flags("--store", "file://"+store, "--restore-from", "store", "--restore-on-empty", "start", "--backup-preset", "redis-rdb", "--backup-exec", `["-s","`+socket+`"]`,
				"--backup-schedule", "1s", "--warm-exec", `["sh","-c","until [ \"$(redis-cli -s `+socket+` ping)\" = PONG ]; do sleep 0.05; done"]`, "--warm-if-cold", "stop"))
	}
	j := start()
	j.WaitPhase(t, limit, "serving")
	if got := cli("debug", "populate", "1"); got == "" {
		t.Fatal("Redis does not answer though the run is ready")
	}
	if got := cli("eval", "for i=1,20000 do redis.call('set', 'key:'..i, i) end return redis.call('dbsize')", "0"); !strings.HasPrefix(got, "2000") {
		t.Fatal(got)
	}
	before := published(t, j)
	testkit.Wait(t, limit, func() (bool, string) { return published(t, j) >= before+2, "no backup since" })
	j.Stop(t)
	if err := os.RemoveAll(s.Data); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.Data, 0o777); err != nil {
		t.Fatal(err)
	}
	next := start()
	next.WaitPhase(t, limit, "serving")
	if got := cli("get", "key:19999"); got != "19999" {
		t.Errorf("key 19999 is %q when the run is ready", got)
	}
	next.Stop(t)
}

// published counts the backups of a run.
func published(t testing.TB, j *scene.Job) int {
	t.Helper()
	st, err := j.Status()
	if err != nil || st.Snapshots == nil {
		return 0
	}
	return int(st.Snapshots.Backups["published"])
}
