package container

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// Names of the images: the example's, and one that interlock was copied into.
const (
	plainImage = "interlock"
	ownImage   = "service"
)

const ownDockerfile = `FROM scratch
COPY --from=interlock /interlock /interlock
COPY payload /payload
ENTRYPOINT ["/interlock"]
`

// build makes both images by their Dockerfiles.
func (d *daemon) build(t testing.TB) {
	t.Helper()
	top, err := testkit.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	context := filepath.Join(d.dir, "context")
	if err := os.Mkdir(context, 0o755); err != nil {
		t.Fatal(err)
	}
	place(t, testkit.Binary(t), filepath.Join(context, "interlock"))
	place(t, scene.PayloadBinary(t), filepath.Join(context, "payload"))
	own := filepath.Join(d.dir, "Dockerfile")
	if err := os.WriteFile(own, []byte(ownDockerfile), 0o644); err != nil {
		t.Fatal(err)
	}
	d.must(t, "build", "--quiet", "--network", "none", "--file", filepath.Join(top, "examples/container/Dockerfile"), "--tag", plainImage, context)
	d.must(t, "build", "--quiet", "--network", "none", "--file", own, "--tag", ownImage, context)
}

// run starts interlock in a container on the scene's directory, and gives the container's name too.
func (d *daemon) run(t testing.TB, s *scene.Scene, holder string, options []string, p plan) (*scene.Job, string) {
	t.Helper()
	name := filepath.Base(s.Dir) + "-" + holder
	wrap := func(_ testing.TB, args ...string) []string {
		all := []string{"docker", "run", "--name", name, "--network", "none", "--volume", s.Dir + ":" + inside}
		all = append(append(all, options...), ownImage)
		for _, a := range args[1:] {
			all = append(all, strings.ReplaceAll(a, s.Dir, inside))
		}
		return all
	}
	j := s.Run(t, holder, scene.Command(append([]string{"/payload", "-log", s.Trace}, p.payload...)...),
		scene.Flags(p.flags...), scene.Wrapped(wrap), scene.Env(d.env()...))
	return j, name
}

// The containers of a real daemon: the image of the example, and what `docker stop`, `docker kill` and the
// kernel do to a container that was started with the options of a careless and of a careful operator.
func TestDocker(t *testing.T) {
	d := runDaemon(t)
	d.build(t)
	t.Run("Image", d.image)
	careful := []string{"--read-only", "--user", "65532", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--memory", "64m", "--pids-limit", "64"}
	for _, c := range []struct {
		name    string
		options []string
		mode    string
	}{
		{"Defaults", nil, "pid1"},
		{"Init", []string{"--init"}, "subreaper"},
		{"Careful", careful, "pid1"},
		{"HostPID", []string{"--pid", "host"}, "subreaper"},
	} {
		t.Run(c.name, func(t *testing.T) { d.stopped(t, c.options, c.mode) })
	}
	t.Run("Grace", d.grace)
	t.Run("Kill", d.killed)
	t.Run("OutOfMemory", func(t *testing.T) { d.outOfMemory(t, careful) })
}

// image: one file, no shell, and a user that is a number.
func (d *daemon) image(t *testing.T) {
	t.Parallel()
	p := testkit.StartCmd(t, d.docker("run", "--rm", "--network", "none", plainImage))
	if code := p.Wait(t, 20*time.Second); code != 0 || !strings.Contains(p.Stdout(t), "COMMANDS") {
		t.Errorf("the image ended with %d: %s", code, p.Stdout(t))
	}
	file, err := os.Stat(testkit.Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := d.must(t, "image", "inspect", "--format", "{{.Config.User}} {{.Size}}", plainImage), "65532:65532 "+strconv.FormatInt(file.Size(), 10); got != want {
		t.Errorf("user and size are %q: expected %q, the one file", got, want)
	}
}

// served runs a payload and returns when all of it has begun.
func (d *daemon) served(t *testing.T, s *scene.Scene, options []string, p plan, processes int) (*scene.Job, string, scene.Status) {
	t.Helper()
	j, name := d.run(t, s, "a", options, p)
	st := j.Serving(t)
	testkit.Wait(t, 20*time.Second, func() (bool, string) { return s.Count(t, "begin") == processes, "the tree is not complete" })
	began(t, s)
	return j, name, st
}

func (d *daemon) stopped(t *testing.T, options []string, mode string) {
	t.Parallel()
	s := calm(t)
	j, name, st := d.served(t, s, options, plan{payload: []string{"-code", "7", "-tree", "2"}}, 3)
	if st.KillMode != mode {
		t.Errorf("kill mode is %s: expected %s", st.KillMode, mode)
	}
	begun := testkit.Monotonic()
	d.must(t, "stop", name)
	if took := testkit.Monotonic() - begun; took > 5*time.Second+testkit.Busy(t) {
		t.Errorf("docker stop took %v: expected far less than the daemon's patience of 10s", took)
	}
	j.Expect(t, 10*time.Second, 7)
	if n := s.Count(t, "signal-15"); n != 1 {
		t.Errorf("TERM came to the payload %d times: expected once", n)
	}
	if code, out, errs := scene.Interlock(t, "lock", "show", "--lock", s.Lock); code != 0 || !strings.Contains(out, "drained") {
		t.Errorf("lock show: %d: %s%s: expected a released lock with a drained record", code, out, errs)
	}
}

// grace: our own patience ends before the daemon's, and the lock is released.
func (d *daemon) grace(t *testing.T) {
	t.Parallel()
	s := calm(t)
	j, name, _ := d.served(t, s, nil, plan{flags: []string{"--stop-grace", "1s"}, payload: []string{"-ignore-term", "-tree", "2"}}, 3)
	begun := testkit.Monotonic()
	d.must(t, "stop", name)
	if took := testkit.Monotonic() - begun; took < time.Second || took > 8*time.Second+testkit.Busy(t) {
		t.Errorf("docker stop took %v: expected the grace of 1s and the kill", took)
	}
	j.Expect(t, 10*time.Second, 137)
	if code, out, errs := scene.Interlock(t, "lock", "show", "--lock", s.Lock); code != 0 || !strings.Contains(out, "drained") {
		t.Errorf("lock show: %d: %s%s: expected a released lock with a drained record", code, out, errs)
	}
}

// killed: nobody releases anything, and the next container waits out the hold.
func (d *daemon) killed(t *testing.T) {
	t.Parallel()
	s := calm(t)
	s.Timing = scene.Quick()
	j, name, st := d.served(t, s, nil, plan{payload: []string{"-tree", "2"}}, 3)
	d.must(t, "kill", name)
	if code := j.Wait(t, 10*time.Second); code != 137 {
		t.Errorf("the container ended with %d: expected 137", code)
	}
	next, name := d.run(t, s, "b", nil, plan{})
	if token := next.Serving(t).Lock.Token; token == st.Lock.Token {
		t.Errorf("the successor has the token %s of the killed one", token)
	}
	testkit.Wait(t, 20*time.Second, func() (bool, string) { return s.Count(t, "begin") == 4, "the successor's payload has not begun" })
	d.must(t, "stop", name)
	next.Expect(t, 10*time.Second, 0)
	if order := s.Judge(t); len(order) != 2 {
		t.Errorf("tenures with tokens %v: expected two", order)
	}
}

// outOfMemory: the daemon's own account and ours agree.
func (d *daemon) outOfMemory(t *testing.T, options []string) {
	t.Parallel()
	s := calm(t)
	j, name := d.run(t, s, "a", options, plan{payload: []string{"-hog"}})
	if why := j.Expect(t, 60*time.Second, 137); !strings.Contains(why, "signal 9 (killed); out of memory: the kernel killed 1 process of") {
		t.Errorf("the reason is %q: expected the signal and what the kernel counted", why)
	}
	testkit.Wait(t, 5*time.Second, func() (bool, string) {
		got := d.must(t, "inspect", "--format", "{{.State.OOMKilled}} {{.State.ExitCode}}", name)
		return got == "true 137", "the daemon says of the container: " + got
	})
}
