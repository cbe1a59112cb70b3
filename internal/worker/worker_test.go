package worker

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/restore"
)

func TestReleaseHasNoBreakPoints(t *testing.T) {
	for _, mark := range []string{"restore:cleanup:", "restore:commit", "restore:state", "BREAKPOINT"} {
		for _, breaking := range []bool{false, true} {
			data, err := os.ReadFile(binary(t, breaking))
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(data, []byte(mark)) != breaking {
				t.Errorf("build with break points %v: contains %q is %v", breaking, mark, !breaking)
			}
		}
	}
}

// What the worker imports delays the start of every role, see docs.
func TestImportsAreLight(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "./testdata/worker").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.Lines(string(out)) {
		dep = strings.TrimSpace(dep)
		ours := strings.HasPrefix(dep, "github.com/interlock-run/interlock/")
		foreign := strings.Contains(dep, ".") && !ours && dep != "golang.org/x/sys/unix"
		if foreign && !strings.HasPrefix(dep, "vendor/") || dep == "os/exec" || dep == "net" || dep == "log/slog" || dep == "crypto/tls" {
			t.Errorf("imports %s", dep)
		}
	}
}

func TestNonsenseIsAnswered(t *testing.T) {
	for name, in := range map[string]string{
		"nothing": "", "no json": "claim", "half": `{"op":`, "another field": `{"op":"drain","path":"/"}`,
		"no operation": `{}`, "unknown operation": `{"op":"rm"}`, "relative": `{"op":"readclaim","state_dir":"x"}`,
		"dots": `{"op":"readclaim","state_dir":"/a/../b"}`, "no claim": `{"op":"claim","state_dir":"/nope/x"}`,
		"no decision": `{"op":"begin","state_dir":"/nope/x","data":"/nope"}`, "no paths": `{"op":"drain"}`,
		"no token":  `{"op":"claim","state_dir":"/nope/x","claim":{"v":1,"token":"0","holder":"h","lock":"l"}}`,
		"too large": `{"op":"` + strings.Repeat("x", MaxRequest) + `"}`,
		"no mount":  `{"op":"readclaim","state_dir":"/elsewhere/x","mount":"/proc"}`,
	} {
		var out, errs bytes.Buffer
		if code := serve(strings.NewReader(in), &out, &errs); code != 0 {
			t.Errorf("%s: status %d %s", name, code, errs.String())
		}
		a, err := DecodeResponse(out.Bytes())
		if err != nil || a.OK || a.Kind != KindRequest {
			t.Errorf("%s: %+v, %v: expected kind request", name, a, err)
		}
	}
}

func TestAnswerThatCannotBeWritten(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	if code := serve(strings.NewReader("{}"), w, &errs); code != 70 || errs.Len() == 0 {
		t.Errorf("status %d, %q: expected 70 and a line", code, errs.String())
	}
}

func TestDecodeResponseRefusesNonsense(t *testing.T) {
	for _, in := range []string{"", "{}", `{"ok":false,"kind":"io"}`, `{"ok":tru`} {
		if a, err := DecodeResponse([]byte(in)); err == nil {
			t.Errorf("%q: %+v: expected an error", in, a)
		}
	}
}

func TestKinds(t *testing.T) {
	r := scene(t)
	r.Token = 5
	mustOK(t, ask(t, r.claiming()))
	older, other := r, r.claiming()
	older.Token = 4
	c := *other.Claim
	c.Lock = "zk://other"
	other.Claim = &c
	stale := r.as(OpBegin)
	stale.Want = &restore.Decision{Action: restore.Resume}
	for kind, q := range map[string]Request{
		KindDeposed: older.claiming(), KindOtherLock: other, KindRefused: stale,
		KindIO: {Op: OpReadClaim, StateDir: "/nowhere/at/all"}, KindMissing: {Op: OpReadClaim, StateDir: r.StateDir, Mount: filepath.Dir(r.StateDir)},
	} {
		if a := ask(t, q); a.OK || a.Kind != kind {
			t.Errorf("%+v: expected kind %s", a, kind)
		}
	}
	for _, name := range []string{fence.ClaimFile, restore.StateFile} {
		if err := os.WriteFile(filepath.Join(r.StateDir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if a := ask(t, r.as(OpReadClaim)); a.Kind != KindCorrupt {
		t.Errorf("%+v: expected kind corrupt", a)
	}
	if d := mustOK(t, ask(t, r.as(OpInspect))).Decision; d.Action != restore.Refuse {
		t.Errorf("%+v: expected refuse", d)
	}
}

func TestDrain(t *testing.T) {
	dir := t.TempDir()
	mustOK(t, ask(t, Request{Op: OpDrain, Paths: []string{dir, "/proc"}}))
	a := ask(t, Request{Op: OpDrain, Paths: []string{"/nowhere", dir}})
	if a.OK || a.Kind != KindIO || len(a.Synced) != 2 || a.Synced[0].Error == "" || a.Synced[1].Error != "" {
		t.Errorf("%+v: expected one error of two", a)
	}
}

// somebody runs the command without any right of root.
func somebody(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	return cmd
}

func TestNoAccessIsUnknown(t *testing.T) {
	testkit.RequireRoot(t)
	r := scene(t)
	for dir := filepath.Dir(r.Data); dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r.Token = 3
	mustOK(t, ask(t, r.claiming()))
	q := r
	q.Token = 4
	for _, req := range []Request{r.as(OpReadClaim), q.claiming()} {
		if a := answerOf(t, somebody(command(t, binary(t, false), req))); a.OK || a.Kind != KindIO || !strings.Contains(a.Error, "permission denied") {
			t.Errorf("%s: %+v: expected that access is denied", req.Op, a)
		}
	}
	free := r
	free.StateDir = filepath.Join(filepath.Dir(r.StateDir), "free") // absent, so only the data is in the way
	if err := os.Chmod(r.Data, 0o711); err != nil {
		t.Fatal(err)
	}
	for _, script := range []bool{true, false} {
		free.Script = script
		a := mustOK(t, answerOf(t, somebody(command(t, binary(t, false), free.as(OpInspect)))))
		if a.Look.Dir != restore.DirUnknown || a.Decision.Action != restore.Refuse {
			t.Errorf("%+v %+v: expected unknown, refuse", a.Look, a.Decision)
		}
	}
}

// The owner of a half restored tree took its own rights away; it is cleaned all the same.
func TestOwnReadOnlyDirectoriesAreCleaned(t *testing.T) {
	testkit.RequireRoot(t)
	r := scene(t)
	top := filepath.Dir(r.Data)
	for dir := top; dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{top, r.Data} {
		if err := os.Chown(dir, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	run := func(q Request) Response { return answerOf(t, somebody(command(t, binary(t, false), q))) }
	r.Want = &restore.Decision{Action: restore.Run}
	mustOK(t, run(r.as(OpBegin)))
	fill(t, r.Data)
	for dir, mode := range map[string]os.FileMode{"a/b/c": 0, "a/b": 0o500, "a": 0o311} {
		path := filepath.Join(r.Data, dir)
		if err := errors.Join(os.Chown(path, 65534, 65534), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
	r.Token++
	r.Want = &restore.Decision{Action: restore.Resume, Cleanup: true}
	mustOK(t, run(r.as(OpBegin)))
	if names, err := os.ReadDir(r.Data); err != nil || len(names) != 0 {
		t.Errorf("%v %v: expected it empty", names, err)
	}
}
