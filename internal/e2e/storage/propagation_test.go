package storage

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
)

// host is a directory in which this process, as the host's mount table, mounts a volume; box is where a
// container, a mount namespace made by hand, is given it.
type host struct{ dir, vol, box string }

func newHost(t *testing.T) host {
	t.Helper()
	base := t.TempDir()
	h := host{dir: mkdir(t, base, "host"), box: mkdir(t, base, "box")}
	tmpfs(t, h.dir)
	if err := unix.Mount("", h.dir, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	h.vol = mkdir(t, h.dir, "vol")
	return h
}

// A way in which a container gets a volume, and what it sees of the host's doing from then on.
type way struct {
	name, bind, at string // bind is a script; at is where the volume is then, below the box
	hears          bool   // the host's unmount and new mount
	appears        string // what a watch says when the host mounts the volume only after the start
}

func ways() []way {
	const direct, parent = "mkdir $BOX/vol && mount --bind $HOST/vol $BOX/vol", "mkdir $BOX/up && mount --rbind $HOST $BOX/up"
	return []way{
		{"the volume itself private", direct + " && mount --make-private $BOX/vol", "vol", false, ""},
		{"the volume itself slave", direct + " && mount --make-slave $BOX/vol", "vol", false, "replaced"},
		{"its parent private", parent + " && mount --make-rprivate $BOX/up", "up/vol", false, ""},
		{"its parent slave", parent + " && mount --make-rslave $BOX/up", "up/vol", true, "ok"},
	}
}

// inside starts a program in a container that is given the volume this way.
func (h host) inside(t *testing.T, w way, args ...string) *testkit.Process {
	t.Helper()
	// The host's own mounts are taken out of the container, and that must not reach the host.
	script := "set -e; " + w.bind + "; mount --make-rprivate $HOST; umount -l $HOST; exec \"$@\""
	cmd := exec.Command("unshare", append([]string{"-m", "--propagation", "unchanged", "sh", "-c", script, "sh"}, args...)...)
	cmd.Env = append(os.Environ(), "HOST="+h.dir, "BOX="+h.box, "KUBERNETES_SERVICE_HOST=1")
	return testkit.StartCmd(t, cmd)
}

// said are the findings of a `mount watch` so far.
func said(t *testing.T, p *testkit.Process) (all []string) {
	t.Helper()
	for line := range strings.Lines(p.Stdout(t)) {
		var v struct{ Finding string }
		if strings.HasSuffix(line, "\n") && json.Unmarshal([]byte(line), &v) == nil {
			all = append(all, v.Finding)
		}
	}
	return all
}

func waitSaid(t *testing.T, p *testkit.Process, want ...string) {
	t.Helper()
	testkit.Wait(t, limit, func() (bool, string) {
		return slices.Equal(said(t, p), want), fmt.Sprintf("the watch said %v, expected %v; %s", said(t, p), want, p.Stderr(t))
	})
}

// TestWhatAContainerSees: the host's unmount and its new mount show in a container only where the directory above
// is bound, and the host's mounts go on to it.
func TestWhatAContainerSees(t *testing.T) {
	t.Parallel()
	needMounts(t)
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			mountOn(t, h.vol)
			write(t, filepath.Join(h.vol, "file"), "on the volume")
			p := h.inside(t, w, testkit.Binary(t), "mount", "watch", "--json", "--probe-period", "50ms", "--mount", filepath.Join(h.box, w.at))
			waitSaid(t, p, "ok")
			testkit.Unmount(t, h.vol) // a probe in the container that is just looking keeps it busy, too, where it hears
			if w.hears {
				waitSaid(t, p, "ok", "absent")
				mountOn(t, h.vol)
				waitSaid(t, p, "ok", "absent", "replaced")
				return
			}
			mountOn(t, h.vol)
			<-timeAfterProbes()
			waitSaid(t, p, "ok")
			// The host's unmount has ended nothing: what it took for free is in use.
			inBox := filepath.Join(fmt.Sprintf("/proc/%d/root", p.Pid()), h.box, w.at, "file")
			if got := read(t, inBox); got != "on the volume" {
				t.Errorf("the container reads %q", got)
			}
		})
	}
}

// TestAContainerBeforeItsVolume: what was not mounted at the start is absent, but for a container that was given
// the volume by itself: it has a directory of the host's disk, mounted, which only an expectation tells from it.
func TestAContainerBeforeItsVolume(t *testing.T) {
	t.Parallel()
	needMounts(t)
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			bare, first := filepath.Join(h.box, w.at), "absent"
			if w.at == "vol" {
				first = "ok"
				code := h.inside(t, way{bind: "true"}, testkit.Binary(t), "mount", "check", "--mount", bare).Wait(t, limit)
				if code != 72 {
					t.Errorf("nothing is mounted there: exit code %d", code)
				}
			}
			p := h.inside(t, w, testkit.Binary(t), "mount", "watch", "--json", "--probe-period", "50ms", "--mount", bare)
			waitSaid(t, p, first)
			mountOn(t, h.vol)
			if w.appears != "" {
				waitSaid(t, p, first, w.appears)
				return
			}
			<-timeAfterProbes()
			waitSaid(t, p, first)
		})
	}
}

// TestDoctorInAContainer: doctor says which of these cases this is, and what a directory in the place of a volume
// looks like.
func TestDoctorInAContainer(t *testing.T) {
	t.Parallel()
	needMounts(t)
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			level := "ok"
			if !w.hears {
				level = "warn"
			}
			if w.at == "up/vol" {
				mountOn(t, h.vol)
			}
			at := filepath.Join(h.box, w.at)
			all := doctorLines(t, h.inside(t, w, testkit.Binary(t), "doctor", "--json", "--mount", at))
			wantLine(t, all, level, at+": propagation: ")
			if w.at == "vol" {
				wantLine(t, all, "warn", at+": it is the directory /vol of ")
				wantLine(t, all, "warn", at+": found: ")
			}
		})
	}
}

type doctorLine struct{ Level, Topic, What, Do string }

func doctorLines(t *testing.T, p *testkit.Process) (all []doctorLine) {
	t.Helper()
	p.Wait(t, limit)
	if err := json.Unmarshal([]byte(p.Stdout(t)), &all); err != nil {
		t.Fatalf("%v: %s%s", err, p.Stdout(t), p.Stderr(t))
	}
	return all
}

// wantLine fails unless there is a line of this level that begins so.
func wantLine(t *testing.T, all []doctorLine, level, what string) {
	t.Helper()
	if !slices.ContainsFunc(all, func(l doctorLine) bool { return l.Level == level && strings.HasPrefix(l.What, what) }) {
		t.Errorf("no line %s %q among %+v", level, what, all)
	}
}
