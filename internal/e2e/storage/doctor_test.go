package storage

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
)

func doctor(t *testing.T, front []string, flags ...string) []doctorLine {
	t.Helper()
	argv := append(append(front, testkit.Binary(t), "doctor", "--json"), flags...)
	return doctorLines(t, testkit.StartCmd(t, exec.Command(argv[0], argv[1:]...)))
}

// TestDoctorOfMounts: what can be found, killed, freed, told drained and fenced differs by filesystem, by what is
// configured and by what this process may do.
func TestDoctorOfMounts(t *testing.T) {
	t.Parallel()
	f := testkit.StartFaultFS(t, "")
	_, point := mounted(t)
	fuse, local := f.Dir, point
	all := doctor(t, nil, "--mount", fuse+",volume=none,policy=wrong:alert", "--mount", local+",fstype=tmpfs,fail_after=1s", "--probe-timeout", "3s")
	wantLine(t, all, "ok", local+": found: a change of the mount at once, an error within 3s, a hang within 6s")
	wantLine(t, all, "ok", local+": freed: there is no lever")
	wantLine(t, all, "ok", local+": drained: told after an end: tmpfs is local")
	wantLine(t, all, "ok", local+": fenced: not needed")
	wantLine(t, all, "ok", fuse+": killed: who waits in it ends by SIGKILL only while its daemon has not taken the request")
	wantLine(t, all, "ok", fuse+": freed: not, since on_stuck is wait")
	wantLine(t, all, "warn", fuse+": drained: not while it stays mounted")
	wantLine(t, all, "warn", fuse+": fenced: neither this storage nor this node")
	all = doctor(t, nil, "--mount", fuse, "--on-stuck", "free")
	wantLine(t, all, "ok", fuse+": freed: abort FUSE connection")
	wantLine(t, all, "warn", fuse+": found: ") // nothing that tells it apart
	unprivileged := []string{"setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"}
	all = doctor(t, unprivileged, "--mount", fuse)
	wantLine(t, all, "warn", fuse+": freed: not by this process (CAP_SYS_ADMIN is missing)")
}

// TestDoctorOfAHungMount: it says so, and ends.
func TestDoctorOfAHungMount(t *testing.T) {
	t.Parallel()
	f := testkit.StartFaultFS(t, "")
	f.Set(t, "hang")
	all := doctor(t, nil, "--mount", f.Dir, "--probe-timeout", "200ms")
	wantLine(t, all, "fail", f.Dir+": hung ")
	wantLine(t, all, "warn", f.Dir+": drained: ")
	for _, l := range all {
		if strings.HasPrefix(l.What, f.Dir) && l.Level != "ok" && l.Do == "" {
			t.Errorf("%+v says nothing to do", l)
		}
	}
}
