package device

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// limit bounds what should take a few seconds on a machine that has other work to do.
const limit = 90 * time.Second

// A rig is a scene whose data lies on a loop device over a file, which only a run attaches.
type rig struct {
	*scene.Scene
	image, point, dev, fstype, uuid string
	run                             string // the state directory
	attach, detach                  []string
	more                            []string // flags
}

// freshUUID is one of a rig alone: two filesystems of one are not let be mounted side by side.
func freshUUID(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile("/proc/sys/kernel/random/uuid")
	must(t, err)
	return strings.TrimSpace(string(b))
}

func newRig(t testing.TB, fstype string, mkfs ...string) *rig {
	t.Helper()
	testkit.RequireRoot(t)
	for _, tool := range []string{"mkfs." + fstype, "losetup", "blkid", "e2fsck"} {
		if _, err := exec.LookPath(tool); err != nil {
			testkit.Skip(t, tool, tool+" is not installed")
		}
	}
	s := scene.New(t)
	shared(t, s.Dir)
	r := &rig{Scene: s, image: filepath.Join(s.Dir, "image"), point: filepath.Join(s.Dir, "mnt"), fstype: fstype, uuid: freshUUID(t), run: filepath.Join(s.Dir, "run")}
	must(t, os.Mkdir(r.point, 0o755))
	s.Data, s.State = r.point, filepath.Join(r.point, ".interlock")
	r.makeImage(t, mkfs...)
	r.dev = testkit.FreeLoop(t)
	r.attach, r.detach = []string{"losetup", r.dev, r.image}, []string{"losetup", "-d", r.dev}
	t.Cleanup(func() { r.away(t) })
	run(t, testkit.Binary(t), "lock", "init", "--lock", s.Lock)
	return r
}

func (r *rig) makeImage(t testing.TB, mkfs ...string) {
	t.Helper()
	size, args := int64(24<<20), []string{"-q", "-U", r.uuid, "-E", "lazy_itable_init=0,nodiscard"}
	if r.fstype == "xfs" {
		size, args = 320<<20, []string{"-q", "-K", "-m", "uuid=" + r.uuid}
	}
	must(t, os.WriteFile(r.image, nil, 0o644))
	must(t, os.Truncate(r.image, size))
	run(t, "mkfs."+r.fstype, append(append(args, mkfs...), r.image)...)
}

// shared lets an unmount reach the copies that payloads of tests beside this one have of every mount.
func shared(t testing.TB, dir string) {
	t.Helper()
	must(t, unix.Mount(dir, dir, "", unix.MS_BIND, ""))
	must(t, unix.Mount("", dir, "", unix.MS_SHARED, ""))
	t.Cleanup(func() {
		testkit.Wait(t, limit, func() (bool, string) {
			err := unix.Unmount(dir, 0)
			return err == nil, fmt.Sprintf("umount %s: %v", dir, err)
		})
	})
}

// away takes what a failed test left.
func (r *rig) away(t testing.TB) {
	t.Helper()
	for _, m := range testkit.MountsBelow(r.point) {
		t.Errorf("%s is still mounted", m)
		_ = unix.Unmount(m, unix.MNT_DETACH) // the census of mounts tells
	}
	if testkit.Attached(t, r.dev) {
		t.Errorf("%s is still attached", r.dev)
		_ = exec.Command("losetup", "-d", r.dev).Run() // its removal tells
	}
}

// down fails unless nothing is left of the device.
func (r *rig) down(t testing.TB) {
	t.Helper()
	if got := testkit.MountsBelow(r.point); len(got) > 0 || testkit.Attached(t, r.dev) {
		t.Errorf("mounted %v, attached %v: expected neither", got, testkit.Attached(t, r.dev))
	}
}

func (r *rig) flags(t testing.TB) []string {
	t.Helper()
	return append([]string{"--device-attach-exec", list(t, r.attach), "--device-detach-exec", list(t, r.detach), "--device-attach-dev", r.dev,
		"--device-mount-path", r.point, "--device-fstype", r.fstype, "--device-uuid", r.uuid, "--device-mount-opts", `["noatime"]`,
		"--device-state-dir", r.run, "--device-limits-detach", "20s"}, r.more...)
}

func list(t testing.TB, argv []string) string {
	t.Helper()
	b, err := json.Marshal(argv)
	must(t, err)
	return string(b)
}

// start runs the payload of these tests: it appends its token to a file on the device, synced, and waits.
func (r *rig) start(t testing.TB, holder string, options ...scene.Option) *scene.Job {
	t.Helper()
	return r.Run(t, holder, append([]scene.Option{scene.Flags(r.flags(t)...), r.writer()}, options...)...)
}

func (r *rig) writer() scene.Option {
	return scene.Command("sh", "-c", `echo $INTERLOCK_TOKEN >> "$0/log" && sync "$0/log" && exec sleep 1000`, r.point)
}

// serving waits until this job's payload has written.
func (r *rig) serving(t testing.TB, j *scene.Job) {
	t.Helper()
	token := j.WaitPhase(t, limit, "serving").Lock.Token
	testkit.Wait(t, limit, func() (bool, string) {
		all := r.written(t)
		return strings.HasSuffix(all, token+"\n"), fmt.Sprintf("%q: %s has not written", all, token)
	})
}

func (r *rig) written(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(r.point, "log"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(b)
}

// ends stops a job that serves: nothing is left, and the record says drained.
func (r *rig) ends(t testing.TB, j *scene.Job) {
	t.Helper()
	j.Signal(t, unix.SIGTERM)
	j.Expect(t, limit, 143)
	r.down(t)
	if p := r.RecordedPhase(t); p != "drained" {
		t.Errorf("the record says %q, expected drained", p)
	}
}

// refused expects a run that ends with this code before any payload, and leaves nothing of the device.
func (r *rig) refused(t testing.TB, code int, words ...string) *scene.Job {
	t.Helper()
	j := r.start(t, "refused")
	reason := j.Expect(t, limit, code)
	for _, w := range words {
		if !strings.Contains(reason, w) {
			t.Errorf("reason %q does not say %q", reason, w)
		}
	}
	return j
}

// unasked fails if a run came as far as the lock.
func unasked(t testing.TB, j *scene.Job) {
	t.Helper()
	if strings.Contains(j.Stderr(t), "msg=granted") {
		t.Errorf("%s had the lock before it was refused", j.Holder)
	}
}

// A deviceState is what /status says of the device.
type deviceState struct {
	State, Step, Cause string
	Tries              int
}

func stateOf(t testing.TB, j *scene.Job) deviceState {
	t.Helper()
	var st struct{ Device deviceState }
	_, body, err := j.Get("/status")
	if err == nil {
		must(t, json.Unmarshal([]byte(body), &st))
	}
	return st.Device
}

func waitState(t testing.TB, j *scene.Job, state string) deviceState {
	t.Helper()
	var last deviceState
	testkit.Wait(t, limit, func() (bool, string) {
		last = stateOf(t, j)
		return last.State == state, fmt.Sprintf("device: %+v, expected %s", last, state)
	})
	return last
}

func (r *rig) sum(t testing.TB) [32]byte {
	t.Helper()
	b, err := os.ReadFile(r.image)
	must(t, err)
	return sha256.Sum256(b)
}

// attached is the image on the rig's loop device for the time of a function.
func (r *rig) attached(t testing.TB, f func()) {
	t.Helper()
	run(t, "losetup", r.dev, r.image)
	f()
	run(t, "losetup", "-d", r.dev)
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
