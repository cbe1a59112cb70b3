package foreign

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// Without --foreign-peers a peer that holds is no holder to wait for: 78, who it is, and the way out.
func TestRefusedByDefault(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		r := fresh(t, k)
		p := r.peer(t, k)
		p.begins(t, 20*time.Second)
		for _, wait := range []string{"forever", "0"} {
			why := r.Run(t, "waits-"+wait, scene.Flags("--lock-wait", wait)).Expect(t, 15*time.Second, 78)
			says(t, why, "another program", "--foreign-peers", r.key(t))
		}
		if n := len(r.Judge(t)); n != 1 {
			t.Errorf("%d tenures: a contender that was refused ran its payload", n)
		}
		code, dry, errs := scene.Interlock(t, "run", "--dry-run", "--lock", r.Lock, "--", "true")
		if code != 78 {
			t.Errorf("a dry run ended with %d", code)
		}
		says(t, dry+errs, "another program", "--foreign-peers")
		code, doctor, _ := scene.Interlock(t, "doctor", "--lock", r.Lock)
		if code != 78 {
			t.Errorf("doctor ended with %d", code)
		}
		says(t, doctor, "another program", r.key(t))
		p.ends(t)
	})
}

// key is the one key in the queue.
func (r *rig) key(t testing.TB) string {
	t.Helper()
	q := r.queue(t)
	if len(q) != 1 {
		t.Fatalf("in the queue: %q", q)
	}
	return q[0]
}

// What the mode cannot promise is said at the start and by doctor; an etcd with the known lease defect is
// named there, too, and in status.
func TestSaidAtStart(t *testing.T) {
	t.Parallel()
	for _, k := range []kind{kinds()[0], kinds()[1]} {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			r := fresh(t, k)
			r.initialise(t)
			j := r.run(t, "a")
			r.begun(t, j, 10*time.Second)
			const cannot = "do not die in time"
			says(t, j.Stderr(t), cannot, "docs/locks.md")
			_, doctor, _ := scene.Interlock(t, "doctor", "--foreign-peers", "--lock", r.Lock)
			says(t, doctor, cannot)
			if !k.zk {
				said(t, r, j, doctor)
			}
			stopped(t, j)
		})
	}
}

// said: Debian's etcd is 3.4.23.
func said(t *testing.T, r *rig, j *scene.Job, doctor string) {
	t.Helper()
	version := testkit.SharedEtcd(t).Version(t)
	if version != "3.4.23" {
		t.Logf("etcd is %s, not Debian's 3.4.23: whether it has the defect is the driver's own test", version)
		return
	}
	about := fmt.Sprintf("etcd %s, version %s: may revoke leases early", r.server, version)
	testkit.Wait(t, 10*time.Second, func() (bool, string) {
		_, st, err := j.Get("/status")
		return err == nil && strings.Contains(st, about), "status says " + st
	})
	says(t, j.Stderr(t), about)
	says(t, doctor, about, "3.4.31")
	_, status, _ := scene.Interlock(t, "status", "--listen", "unix:"+j.Socket())
	says(t, status, about)
}
