package worker

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/restore"
)

// inside runs a shell script in a mount namespace of its own, which takes its mounts along when it ends.
// Each "ask FILE" in it is one worker; the answers come back in order.
func inside(t *testing.T, script string, requests map[string]Request) []Response {
	t.Helper()
	testkit.RequireRoot(t)
	dir := t.TempDir()
	for name, r := range requests {
		in, err := EncodeRequest(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), in, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "sh", "-euc", `ask() { "$WORKER" <"$REQUESTS/$1"; }`+"\n"+script)
	cmd.Env = append(os.Environ(), "WORKER="+binary(t, false), "REQUESTS="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	cmd.Stderr = &strings.Builder{}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s%s", err, cmd.Stderr, out)
	}
	var answers []Response
	for line := range strings.Lines(string(out)) {
		a, err := DecodeResponse([]byte(line))
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if strings.Count(a.Error, "\n") > 0 {
			t.Errorf("error of more than a line: %q", a.Error)
		}
		answers = append(answers, a)
	}
	return answers
}

func mustFail(t *testing.T, a Response, kind, text string) {
	t.Helper()
	if a.OK || a.Kind != kind || !strings.Contains(a.Error, text) {
		t.Errorf("%+v: expected kind %s with %q", a, kind, text)
	}
}

// onMount is a scene whose root is a mountpoint that a script mounts.
func onMount(t *testing.T) (Request, string) {
	mnt := filepath.Join(t.TempDir(), "mnt")
	if err := os.Mkdir(mnt, 0o755); err != nil {
		t.Fatal(err)
	}
	return Request{Mount: mnt, Data: filepath.Join(mnt, "data"), StateDir: filepath.Join(mnt, ".interlock"), When: restore.WhenEmpty, Script: true, Token: 1, Holder: "a"}, mnt
}

func TestFullFilesystemKeepsTheOldClaim(t *testing.T) {
	r, mnt := onMount(t)
	second := r
	second.Token, second.Holder = 2, "b"
	again := second
	again.Token = 3
	a := inside(t, fmt.Sprintf(`mount -t tmpfs -o size=64k tmpfs %[1]s
ask first
dd if=/dev/zero of=%[1]s/full bs=4k 2>/dev/null || :
ask second
test "$(ls %[1]s/.interlock)" = claim.json
ask read
rm %[1]s/full
ask again
ask read
test "$(ls %[1]s/.interlock)" = claim.json`, mnt), map[string]Request{
		"first": r.claiming(), "second": second.claiming(), "again": again.claiming(), "read": r.as(OpReadClaim),
	})
	mustOK(t, a[0])
	mustFail(t, a[1], KindIO, "no space left")
	if c := mustOK(t, a[2]).Claim; c == nil || c.Token != 1 {
		t.Errorf("%+v: expected the old claim", c)
	}
	mustOK(t, a[3])
	if c := mustOK(t, a[4]).Claim; c == nil || c.Token != 3 {
		t.Errorf("%+v: expected the new claim", c)
	}
}

func TestReadOnlyFilesystem(t *testing.T) {
	r, mnt := onMount(t)
	r.Want = &restore.Decision{Action: restore.Run}
	later := r
	later.Token = 2
	a := inside(t, fmt.Sprintf(`mount -t tmpfs tmpfs %[1]s
mkdir %[1]s/data
ask claim
mount -o remount,ro %[1]s
ask later
ask read
ask begin`, mnt), map[string]Request{"claim": r.claiming(), "later": later.claiming(), "read": r.as(OpReadClaim), "begin": r.as(OpBegin)})
	mustOK(t, a[0])
	mustFail(t, a[1], KindIO, "read-only file system")
	mustOK(t, a[2])
	mustFail(t, a[3], KindIO, "read-only file system")
}

// The mount has gone since the agent looked: nothing is made in the bare directory.
func TestNothingIsMadeInABareDirectory(t *testing.T) {
	r, mnt := onMount(t)
	for _, q := range []Request{r.claiming(), r.as(OpReadClaim), r.as(OpInspect)} {
		mustFail(t, ask(t, q), KindMissing, mnt)
	}
	if names, err := os.ReadDir(mnt); err != nil || len(names) != 0 {
		t.Errorf("%v %v: expected it untouched", names, err)
	}
	a := inside(t, fmt.Sprintf(`mount -t tmpfs tmpfs %[1]s
mkdir %[1]s/.interlock
mount -t tmpfs other %[1]s/.interlock
ask claim
test -z "$(ls -A %[1]s/.interlock)"`, mnt), map[string]Request{"claim": r.claiming()})
	mustFail(t, a[0], KindMissing, "another mount")
}

// mountsBelow are ways in which something that is not ours can be mounted into half restored data.
var mountsBelow = map[string]string{
	"bind of a directory, same filesystem": `mkdir %[1]s/data/a/m; mount --bind %[1]s/outside %[1]s/data/a/m`,
	"bind of a file":                       `touch %[1]s/data/a/m; mount --bind %[1]s/outside/file %[1]s/data/a/m`,
	"another filesystem":                   `mkdir %[1]s/data/a/m; mount -t tmpfs x %[1]s/data/a/m; touch %[1]s/data/a/m/file`,
	"bind of itself":                       `mkdir %[1]s/data/a/m; touch %[1]s/data/a/m/file; mount --bind %[1]s/data/a/m %[1]s/data/a/m`,
}

func TestCleanupCrossesNoMountPoint(t *testing.T) {
	for name, how := range mountsBelow {
		t.Run(name, func(t *testing.T) {
			r, mnt := onMount(t)
			r.Want = &restore.Decision{Action: restore.Run}
			second := r
			second.Token = 2
			second.Want = &restore.Decision{Action: restore.Resume, Cleanup: true}
			a := inside(t, fmt.Sprintf(`mount -t tmpfs tmpfs %[1]s
mkdir %[1]s/data %[1]s/outside; touch %[1]s/outside/file
ask begin
mkdir %[1]s/data/a; touch %[1]s/data/a/half %[1]s/data/half
`+how+`
ask second
test -e %[1]s/outside/file
test -e %[1]s/data/half
test -e %[1]s/data/a/half
umount %[1]s/data/a/m
ask second
test -e %[1]s/outside/file
test -z "$(ls -A %[1]s/data)"`, mnt), map[string]Request{"begin": r.as(OpBegin), "second": second.as(OpBegin)})
			mustOK(t, a[0])
			mustFail(t, a[1], KindRefused, "mount point")
			mustOK(t, a[2])
		})
	}
}

// The data directory is itself the mountpoint: our state lies in it and survives the cleanup.
func TestDataIsTheMountPoint(t *testing.T) {
	r, mnt := onMount(t)
	r.Data = mnt
	r.Want = &restore.Decision{Action: restore.Run}
	second := r
	second.Token = 2
	second.Want = &restore.Decision{Action: restore.Resume, Cleanup: true}
	a := inside(t, fmt.Sprintf(`mount -t tmpfs tmpfs %[1]s
mkdir %[1]s/lost+found
ask claim
ask begin
mkdir %[1]s/a; touch %[1]s/a/half
ask second
test "$(ls -A %[1]s | tr '\n' ' ')" = ".interlock lost+found "
ask commit
ask read`, mnt), map[string]Request{"claim": r.claiming(), "begin": r.as(OpBegin), "second": second.as(OpBegin), "commit": second.as(OpCommit), "read": r.as(OpReadClaim)})
	for _, one := range a {
		mustOK(t, one)
	}
	if c := a[4].Claim; c == nil || c.Token != 1 {
		t.Errorf("%+v: expected the claim still there", c)
	}
}

// A real EIO: the memory file of a process, unmapped address 0, lies in the place of our files.
func TestInputOutputErrorIsUnknown(t *testing.T) {
	r, mnt := onMount(t)
	r.Token = 9
	a := inside(t, fmt.Sprintf(`mount -t tmpfs tmpfs %[1]s
mkdir %[1]s/data %[1]s/.interlock
touch %[1]s/.interlock/claim.json %[1]s/.interlock/restore.json
mount --bind /proc/$$/mem %[1]s/.interlock/claim.json
mount --bind /proc/$$/mem %[1]s/.interlock/restore.json
ask read
ask claim
ask inspect`, mnt), map[string]Request{"read": r.as(OpReadClaim), "claim": r.claiming(), "inspect": r.as(OpInspect)})
	mustFail(t, a[0], KindIO, "input/output error")
	mustFail(t, a[1], KindIO, "input/output error")
	if d := mustOK(t, a[2]).Decision; d.Action != restore.Refuse || !strings.Contains(d.Reason, "input/output error") {
		t.Errorf("%+v: expected refuse", d)
	}
}
