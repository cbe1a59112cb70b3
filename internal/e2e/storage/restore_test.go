package storage

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// A script is a restore that leaves word of each run outside the data: what it found there, who held the
// lock, and whether the claim was there before it.
type script struct{ log, mid, text string }

func newScript(s *scene.Scene, rest string) script {
	sc := script{log: filepath.Join(s.Dir, "restores"), mid: filepath.Join(s.Dir, "mid")}
	sc.text = fmt.Sprintf(`echo "token $INTERLOCK_TOKEN found $(ls -A %[1]s | tr '\n' ' ')claim $(test -f %[2]s/claim.json && echo yes)" >> %[3]s
%[4]s`, s.Data, s.State, sc.log, rest)
	return sc
}

// runs are the lines that the script left.
func (sc script) runs(t testing.TB) []string {
	t.Helper()
	if !exists(t, sc.log) {
		return nil
	}
	return strings.Split(strings.TrimSpace(read(t, sc.log)), "\n")
}

// wantRuns fails unless the script ran this often, and then with these words in each line's order.
func (sc script) wantRuns(t testing.TB, want ...string) {
	t.Helper()
	got := sc.runs(t)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("runs of the script:\n%q, expected\n%q", got, want)
	}
}

func (sc script) flag(t testing.TB) scene.Option {
	t.Helper()
	return shell(t, "restore-exec", sc.text)
}

// fill puts the data there; stall leaves a part of it and waits to be killed.
func fill(s *scene.Scene) string { return "echo whole > " + s.Data + "/file" }
func stall(s *scene.Scene) string {
	return fmt.Sprintf("mkdir -p %[1]s/part/deep; echo half > %[1]s/part/deep/file; echo x > %[2]s/mid; exec sleep 1000", s.Data, s.Dir)
}

// once runs a job to its ordinary end.
func once(t *testing.T, s *scene.Scene, holder string, options ...scene.Option) scene.Status {
	t.Helper()
	a := s.Run(t, holder, options...)
	st := alive(t, s, a)
	if code := a.Stop(t); code != 0 {
		t.Errorf("%s: exit code %d: %s", holder, code, a.ReasonText())
	}
	return st
}

func wantAction(t *testing.T, st scene.Status, action string) {
	t.Helper()
	if st.Restore == nil || st.Restore.Action != action {
		t.Errorf("restore decision %+v, expected %s", st.Restore, action)
	}
}

func TestRestoreIntoAnEmptyDirectoryOnce(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	sc := newScript(s, fill(s))
	wantAction(t, once(t, s, "a", sc.flag(t)), "run")
	wantAction(t, once(t, s, "b", sc.flag(t)), "none")
	sc.wantRuns(t, "token 1 found claim yes")
	if read(t, filepath.Join(s.Data, "file")) != "whole\n" {
		t.Error("the restored file is not there")
	}
}

// The payload begins after the script has ended, never beside it.
func TestRestoreComesBeforeThePayload(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	sc := newScript(s, "sleep 0.3; cat "+s.Trace+" 2>/dev/null | wc -l > "+s.Dir+"/seen")
	once(t, s, "a", sc.flag(t))
	if seen := strings.TrimSpace(read(t, filepath.Join(s.Dir, "seen"))); seen != "0" {
		t.Errorf("the payload had left %s lines before the script ended", seen)
	}
}

func TestRestoreAlwaysAndNever(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	write(t, filepath.Join(s.Data, "precious"), "x")
	sc := newScript(s, fill(s))
	always := scene.Flags("--restore-when", "always")
	wantAction(t, once(t, s, "never", sc.flag(t), scene.Flags("--restore-when", "never")), "none")
	sc.wantRuns(t)
	once(t, s, "one", sc.flag(t), always)
	wantAction(t, once(t, s, "two", sc.flag(t), always), "run")
	sc.wantRuns(t, "token 2 found precious claim yes", "token 3 found file precious claim yes")
	if read(t, filepath.Join(s.Data, "precious")) != "x" {
		t.Error("always removed something")
	}
}

// What is there already is adopted, whatever it is; only our own directory and lost+found are nothing.
func TestWhatCountsAsEmpty(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, action string
		make         func(dir string) error
	}{
		{"lost+found and .interlock", "run", func(d string) error {
			return firstError(os.Mkdir(d+"/lost+found", 0o700), os.Mkdir(d+"/.interlock", 0o700))
		}},
		{"a file named lost+found", "none", func(d string) error { return os.WriteFile(d+"/lost+found", nil, 0o600) }},
		{"a hidden file", "none", func(d string) error { return os.WriteFile(d+"/.hidden", nil, 0o600) }},
		{"an empty directory", "none", func(d string) error { return os.Mkdir(d+"/db", 0o700) }},
		{"a dangling link", "none", func(d string) error { return os.Symlink("/nowhere", d+"/link") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := scene.New(t)
			if err := c.make(s.Data); err != nil {
				t.Fatal(err)
			}
			before := tree(t, s.Data)
			sc := newScript(s, "true")
			wantAction(t, once(t, s, "a", sc.flag(t)), c.action)
			if want := map[string]int{"run": 1, "none": 0}[c.action]; len(sc.runs(t)) != want {
				t.Errorf("runs %q, expected %d", sc.runs(t), want)
			}
			if after := tree(t, s.Data); after != before {
				t.Errorf("the data was changed: %s, then %s", before, after)
			}
		})
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Killed in the middle: seen as unfinished, what it left is removed, and it runs again.
func TestRestoreKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	killedInTheMiddle(t, s)
	sc := newScript(s, fill(s))
	wantAction(t, once(t, s, "b", sc.flag(t)), "resume")
	sc.wantRuns(t, "token 1 found claim yes", "token 2 found claim yes")
	if exists(t, filepath.Join(s.Data, "part")) || !exists(t, filepath.Join(s.Data, "file")) {
		t.Error("what the first run left is still there, or what the second one brought is not")
	}
	wantAction(t, once(t, s, "c", sc.flag(t)), "none")
}

// killedInTheMiddle kills guard and agent at once while the script is half done.
func killedInTheMiddle(t *testing.T, s *scene.Scene, options ...scene.Option) {
	t.Helper()
	sc := newScript(s, stall(s))
	a := s.Run(t, "killed", append(options, sc.flag(t))...)
	waitFile(t, sc.mid)
	tree := testkit.Snapshot(t, a.Pid())
	agent := a.Agent(t)
	for _, pid := range []int{a.Pid(), agent} {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	a.Wait(t, limit)
	tree.WaitGone(t, limit)
	nothingBegan(t, s)
}

// Over a directory that was not empty nothing is removed, ever.
func TestRestoreKilledOverForeignData(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	write(t, filepath.Join(s.Data, "precious"), "x")
	always := scene.Flags("--restore-when", "always")
	killedInTheMiddle(t, s, always)
	sc := newScript(s, fill(s))
	a := s.Run(t, "empty", sc.flag(t))
	wantReason(t, a.Expect(t, limit, 73), "restore.json", "always")
	c := s.Run(t, "none")
	c.Expect(t, limit, 73) // without a script it cannot be finished
	nothingBegan(t, s)
	wantAction(t, once(t, s, "again", sc.flag(t), always), "resume")
	if len(sc.runs(t)) != 2 || !exists(t, filepath.Join(s.Data, "precious")) || !exists(t, filepath.Join(s.Data, "part/deep/file")) {
		t.Errorf("runs %q; precious or leftovers are gone", sc.runs(t))
	}
}

// Another directory was put in the place of the one that was recorded as empty: its content is nobody's.
func TestLeftoversOfAnotherDirectoryAreNotRemoved(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	killedInTheMiddle(t, s)
	if err := os.Rename(s.Data, s.Data+".old"); err != nil {
		t.Fatal(err)
	}
	mkdir(t, s.Data)
	write(t, filepath.Join(s.Data, "precious"), "x")
	a := s.Run(t, "a", newScript(s, fill(s)).flag(t))
	a.Expect(t, limit, 73)
	if !exists(t, filepath.Join(s.Data, "precious")) {
		t.Error("foreign data was removed")
	}
	nothingBegan(t, s)
}
