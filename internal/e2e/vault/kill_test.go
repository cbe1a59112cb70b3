package vault

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// victims are whom a test kills, by the name of the case.
func victims() map[string]func(testing.TB, *scene.Job) int {
	return map[string]func(testing.TB, *scene.Job) int{
		"courier": courier,
		"agent":   func(t testing.TB, j *scene.Job) int { return j.Agent(t) },
		"guard":   func(t testing.TB, j *scene.Job) int { return j.Guard(t) },
	}
}

// fill puts files of random bytes into the data, with their sums.
func (n *node) fill(t testing.TB) {
	t.Helper()
	for i := range 24 {
		body := make([]byte, 1<<20)
		_, err := rand.Read(body)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(n.Data, fmt.Sprintf("f%02d", i)), body, 0o644))
	}
	out, err := exec.Command("sh", "-c", `cd "$0" && sha256sum f* > sums`, n.Data).CombinedOutput()
	if err != nil {
		t.Fatalf("sha256sum: %v: %s", err, out)
	}
}

// careful is a payload that notes in a file beside the data what it finds: its token, and whether all of
// the data is whole.
func (n *node) careful() scene.Option {
	return scene.Command("sh", "-c", `cd "$0" || exit 9
		sha256sum --status -c sums
		case $? in
		0) echo $INTERLOCK_TOKEN whole ;;
		1) echo $INTERLOCK_TOKEN BROKEN ;; # another status: it was killed itself
		esac >> ../found
		exec sleep 1000`, n.Data)
}

func (n *node) found(t testing.TB) []string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(filepath.Dir(n.Data), "found"))
	if os.IsNotExist(err) {
		return nil
	}
	must(t, err)
	return strings.Split(strings.TrimSpace(string(raw)), "\n")
}

// sound waits until this job's payload has found the data whole.
func (n *node) sound(t testing.TB, j *scene.Job) {
	t.Helper()
	token := j.WaitPhase(t, limit, "serving").Lock.Token
	testkit.Wait(t, limit, func() (bool, string) {
		all := n.found(t)
		if slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, "BROKEN") }) {
			t.Fatalf("%v: the payload was started on half of the data", all)
		}
		return slices.Contains(all, token+" whole"), fmt.Sprintf("found %v", all)
	})
}

// dies kills one process and waits until all of the job is gone.
func dies(t testing.TB, j *scene.Job, pid int) {
	t.Helper()
	all := testkit.Snapshot(t, j.Pid())
	scene.Kill(t, pid, syscall.SIGKILL)
	j.Wait(t, limit)
	all.WaitGone(t, limit)
}

// Whoever is killed in the middle of a restore: nothing is started on half of it, and the next start ends it.
func TestKilledInARestore(t *testing.T) {
	t.Parallel()
	for name, victim := range victims() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := inS3(t)
			a, b := v.node(t, "a"), v.node(t, "b")
			a.fill(t)
			ja := a.start(t, a.careful(), saving())
			a.sound(t, ja)
			ja.Stop(t)

			g := v.hold(t, 1, gets(".pack"))
			jb := b.start(t, b.careful())
			g.wait(t)
			dies(t, jb, victim(t, jb))
			if found := b.found(t); found != nil {
				t.Errorf("%v: the payload was started", found)
			}
			state, err := os.ReadFile(filepath.Join(b.State, "restore.json"))
			if err != nil || !strings.Contains(string(state), `"phase":"restoring"`) {
				t.Errorf("state %s (%v)", state, err)
			}
			g.release()
			again := b.start(t, b.careful())
			b.sound(t, again)
			if st, err := again.Status(); err != nil || st.Restore.Action != "resume" {
				t.Errorf("%+v, %v: expected the restore resumed", st.Restore, err)
			}
			again.Stop(t)
		})
	}
}

// Whoever is killed in the middle of a backup: nothing of it is published, the service goes on where it was
// the courier alone, and the next backup, of this tenure or the next, is whole.
func TestKilledInABackup(t *testing.T) {
	t.Parallel()
	for name, victim := range victims() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := inS3(t)
			a := v.node(t, "a")
			a.fill(t)
			g := v.hold(t, 1, puts(".pack"))
			j := a.start(t, a.careful(), every("2s"))
			a.sound(t, j)
			g.wait(t)
			pid := victim(t, j)
			if name == "courier" {
				scene.Kill(t, pid, syscall.SIGKILL)
			} else {
				dies(t, j, pid)
			}
			g.release()
			if name != "courier" {
				if ids := v.snapshots(t); len(ids) > 0 {
					t.Errorf("snapshots %v: expected none", ids)
				}
				j = a.start(t, a.careful(), every("2s"))
				a.sound(t, j)
			}
			testkit.Wait(t, limit, func() (bool, string) {
				st, err := j.Status()
				return err == nil && st.Phase == "serving" && st.Snapshots.Backups["published"] > 0, fmt.Sprintf("%+v, %v", st.Snapshots, err)
			})
			j.Stop(t)
			if code, out := v.verb(t, "verify"); code != 0 {
				t.Errorf("verify: %d: %s", code, out)
			}
		})
	}
}
