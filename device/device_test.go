package device

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.MainWithMounts(m) }

func up(t *testing.T, s Spec) {
	t.Helper()
	must(t, Up(context.Background(), s))
	if got := testkit.MountsBelow(filepath.Dir(s.Point)); len(got) != 1 || got[0] != s.Point {
		t.Fatalf("mounted: %v", got)
	}
}

func down(t *testing.T, s Spec) Rest {
	t.Helper()
	rest, err := Down(context.Background(), s)
	must(t, err)
	isDown(t, s)
	return rest
}

func run(t *testing.T, args ...string) {
	t.Helper()
	must(t, (&work{}).command(context.Background(), args))
}

// marked is a look at the device as one without an account has it.
func marked(s Spec) (string, error) { return (&work{Spec: s, state: &state{}}).mark() }

func isDown(t *testing.T, s Spec) {
	t.Helper()
	if got := testkit.MountsBelow(filepath.Dir(s.Point)); len(got) != 0 {
		t.Errorf("still mounted: %v", got)
	}
	if mark, err := marked(s); mark != "" || err != nil {
		t.Errorf("still attached: %q, %v", mark, err)
	}
}

// refused wants an error that says so, and nothing left of the try.
func refused(t *testing.T, s Spec, says string) {
	t.Helper()
	err := Up(context.Background(), s)
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v, expected %q", err, says)
	}
}

// What a command said stands behind how it ended; one that said nothing leaves no loose end.
func TestSaidNothing(t *testing.T) {
	for script, want := range map[string]string{
		"exit 3":                     "sh: exit status 3, and it said nothing",
		"echo full; echo up; exit 5": "sh: exit status 5: full; up",
	} {
		if err := (&work{}).command(context.Background(), []string{"sh", "-c", script}); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %q", script, err, want)
		}
	}
}

func TestUpAndDown(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs"} {
		t.Run(fs, func(t *testing.T) {
			s := loopSpec(t, fs)
			up(t, s)
			must(t, os.WriteFile(filepath.Join(s.Point, "file"), []byte("x"), 0o644))
			up(t, s) // nothing to do
			if !down(t, s).Settled {
				t.Error("not settled")
			}
			if down(t, s).Settled {
				t.Error("what was not attached was settled")
			}
			up(t, s)
			if _, err := os.Stat(filepath.Join(s.Point, "file")); err != nil {
				t.Error(err)
			}
			down(t, s)
		})
	}
}

// A try that ended after the attachment, by a kill, is gone on with.
func TestGoesOn(t *testing.T) {
	s := loopSpec(t, "ext4")
	w, err := begin(s)
	must(t, err)
	must(t, w.attach(context.Background()))
	w.state.rec.Mark = ""
	must(t, w.state.store()) // killed before it was on record as done
	must(t, w.close())
	up(t, s)
	down(t, s)
}

func TestWrongDevice(t *testing.T) {
	s := loopSpec(t, "ext4")
	other := s
	other.UUID = "00000000-0000-0000-0000-000000000001"
	refused(t, other, "it is another device")
	isDown(t, s)
	other = s
	other.FSType = "xfs"
	refused(t, other, `there is "ext4" on it`)
	isDown(t, s)
}

// What others have attached is neither used nor taken away.
func TestOthersDevice(t *testing.T) {
	s := loopSpec(t, "ext4")
	run(t, s.Attach...)
	t.Cleanup(func() { run(t, s.Detach...) })
	if err := Up(context.Background(), s); !errors.Is(err, errOthers) {
		t.Errorf("got %v, expected %v", err, errOthers)
	}
	_, err := Down(context.Background(), s)
	must(t, err)
	if mark, err := marked(s); mark == "" || err != nil {
		t.Errorf("it was taken away: %q, %v", mark, err)
	}
}

// Somebody else's mount of the device is not touched, and keeps the attachment.
func TestMountedElsewhere(t *testing.T) {
	s := loopSpec(t, "ext4")
	tried := filepath.Join(t.TempDir(), "tried")
	s.Detach = []string{"sh", "-c", "touch " + tried + " && " + strings.Join(s.Detach, " ")}
	w, err := begin(s)
	must(t, err)
	must(t, w.attach(context.Background()))
	must(t, w.close())
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	must(t, os.Mkdir(elsewhere, 0o755))
	must(t, unix.Mount(s.Path, elsewhere, "ext4", 0, ""))
	refused(t, s, "it is mounted at "+elsewhere+", expected nowhere")
	refused(t, s, "it is kept")
	if mark, err := marked(s); mark == "" || err != nil {
		t.Errorf("it was taken away: %q, %v", mark, err)
	}
	if _, err := os.Stat(tried); !os.IsNotExist(err) {
		t.Errorf("a detachment below a mount was tried, which not every driver refuses: %v", err)
	}
	testkit.Unmount(t, elsewhere)
	down(t, s)
}

// A mountpoint that is in use keeps the device attached: the lock above it is kept, too.
func TestBusy(t *testing.T) {
	s := loopSpec(t, "ext4")
	up(t, s)
	f, err := os.Create(filepath.Join(s.Point, "open"))
	must(t, err)
	if _, err := Down(context.Background(), s); err == nil || !strings.Contains(err.Error(), "it is kept") {
		t.Errorf("got %v", err)
	}
	if mark, err := marked(s); mark == "" || err != nil {
		t.Errorf("it was taken away: %q, %v", mark, err)
	}
	must(t, f.Close())
	down(t, s)
}

// A command that does not end is killed at its limit, and what it left is undone.
func TestLimit(t *testing.T) {
	s := loopSpec(t, "ext4")
	s.Attach = []string{"sh", "-c", strings.Join(s.Attach, " ") + " && sleep 1000"}
	s.Limits.Attach = time.Second
	start := time.Now()
	if err := Up(context.Background(), s); err == nil || !strings.Contains(err.Error(), "not done within 1s") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("it took %v", took)
	}
	isDown(t, s)
}

func TestCheck(t *testing.T) {
	err := Spec{Name: "a/b", Path: "x", FSType: "btrfs", Point: "/a/", State: "/s"}.Validate()
	for _, want := range []string{`device "x"`, `mountpoint "/a/"`, `name "a/b"`, `filesystem "btrfs"`, "nothing says how to attach"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
