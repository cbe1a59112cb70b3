package restore

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func decide(p Target) Decision { return Decide(Inspect(p.Data, p.StateDir, p.Token), p.When, true) }

func begin1(t *testing.T, p Target, want string) {
	t.Helper()
	d := decide(p)
	if short(d) != want {
		t.Fatalf("decided %s (%s): expected %s", short(d), d.Reason, want)
	}
	if err := Begin(p, d); err != nil {
		t.Fatal(err)
	}
}

func TestRestoreFromBeginToCommit(t *testing.T) {
	p := place(t)
	begin1(t, p, "run")
	write(t, filepath.Join(p.Data, "half"))
	p.Token++
	begin1(t, p, "resume+")
	if l := Inspect(p.Data, p.StateDir, p.Token); l.Dir != DirEmpty || l.State.Token != 2 || l.State.Phase != PhaseRestoring {
		t.Fatalf("%+v: expected it emptied and ours", l)
	}
	write(t, filepath.Join(p.Data, "whole"))
	if _, err := Commit(p); err != nil {
		t.Fatal(err)
	}
	p.Token++
	if d := decide(p); d.Action != None {
		t.Fatalf("%+v: expected none", d)
	}
	p.When = WhenNever
	if d := decide(p); d.Action != None {
		t.Fatalf("%+v: expected none", d)
	}
}

func TestAlwaysRemovesNothing(t *testing.T) {
	p := place(t)
	p.When = WhenAlways
	old := filepath.Join(p.Data, "old")
	write(t, old)
	for range 3 { // killed twice
		d := decide(p)
		if d.Action == None || d.Action == Refuse || d.Cleanup {
			t.Fatalf("%+v: expected to run without cleanup", d)
		}
		if err := Begin(p, d); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(old); err != nil {
			t.Fatal(err)
		}
		p.Token++
	}
	p.When = WhenEmpty
	if d := decide(p); d.Action != Refuse {
		t.Fatalf("%+v: expected refuse: nothing recorded it as empty", d)
	}
}

// A restore begun as always over a full directory must not become one that may clean up.
func TestCleanupRightIsNotWonByDetour(t *testing.T) {
	p := place(t)
	begin1(t, p, "run")
	write(t, filepath.Join(p.Data, "half"))
	p.Token, p.When = 2, WhenAlways
	begin1(t, p, "resume")
	p.Token, p.When = 3, WhenEmpty
	if d := decide(p); d.Action != Refuse {
		t.Fatalf("%+v: expected refuse", d)
	}
}

func TestBeginLooksAgain(t *testing.T) {
	p := place(t)
	d := decide(p)
	stray := filepath.Join(p.Data, "stray")
	write(t, stray)
	if err := Begin(p, d); !errors.Is(err, ErrRefused) {
		t.Fatalf("%v: expected ErrRefused", err)
	}
	if err := Begin(p, Decision{Action: Resume, Cleanup: true}); !errors.Is(err, ErrRefused) {
		t.Fatalf("a cleanup that nothing allows: %v: expected ErrRefused", err)
	}
	if _, err := os.Stat(stray); err != nil {
		t.Fatal(err)
	}
	if l := Inspect(p.Data, p.StateDir, p.Token); l.Found {
		t.Fatalf("%+v: expected no record", l)
	}
}

func TestBeginRefusesWhatIsNoRestore(t *testing.T) {
	p := place(t)
	for _, d := range []Decision{{}, {Action: None}, {Action: Refuse}, {Action: "x"}} {
		if err := Begin(p, d); !errors.Is(err, ErrRefused) {
			t.Errorf("%+v: %v: expected ErrRefused", d, err)
		}
	}
	p.Token = 0
	if err := Begin(p, Decision{Action: Run}); !errors.Is(err, ErrRefused) {
		t.Errorf("no token: %v: expected ErrRefused", err)
	}
}

func TestCommitOnlyOfOurOwn(t *testing.T) {
	p := place(t)
	if _, err := Commit(p); !errors.Is(err, ErrRefused) {
		t.Errorf("nothing begun: %v: expected ErrRefused", err)
	}
	begin1(t, p, "run")
	for _, token := range []int{0, 2} {
		q := p
		q.Token += 1
		if token == 0 {
			q.Token = 0
		}
		if _, err := Commit(q); !errors.Is(err, ErrRefused) {
			t.Errorf("token %d: %v: expected ErrRefused", q.Token, err)
		}
	}
	if _, err := Commit(p); err != nil {
		t.Fatal(err)
	}
	if _, err := Commit(p); !errors.Is(err, ErrRefused) {
		t.Errorf("twice: %v: expected ErrRefused", err)
	}
	if err := Begin(p, Decision{Action: Run}); err != nil {
		t.Errorf("empty again: %v", err)
	}
}

// The directory was exchanged for a full one while a restore was unfinished: it is not ours to empty.
func TestAnotherDirectoryIsNeverCleaned(t *testing.T) {
	p := place(t)
	begin1(t, p, "run")
	if err := os.Rename(p.Data, p.Data+".old"); err != nil {
		t.Fatal(err)
	}
	mkdirs(t, p.Data, "precious")
	p.Token++
	if d := decide(p); d.Action != Refuse {
		t.Fatalf("%+v: expected refuse", d)
	}
	l := Inspect(p.Data+".old", p.StateDir, p.Token)
	if err := clean(p.Data, p.StateDir, l.Inode); !errors.Is(err, ErrRefused) {
		t.Fatalf("%v: expected ErrRefused", err)
	}
	if _, err := os.Stat(filepath.Join(p.Data, "precious")); err != nil {
		t.Fatal(err)
	}
}

func TestDataThatIsItsOwnMountKeepsTheStateInside(t *testing.T) {
	p := place(t)
	p.StateDir = filepath.Join(p.Data, StateDirName)
	mkdirs(t, p.Data, "lost+found/kept")
	begin1(t, p, "run")
	mkdirs(t, p.Data, "half/.interlock/x", "half/lost+found")
	p.Token++
	begin1(t, p, "resume+")
	names, err := os.ReadDir(p.Data)
	if err != nil || len(names) != 2 {
		t.Fatalf("%v, %v: expected the two directories that do not count", names, err)
	}
	if _, err := os.Stat(filepath.Join(p.Data, "lost+found/kept")); err != nil {
		t.Fatal(err)
	}
	if _, err := Commit(p); err != nil {
		t.Fatal(err)
	}
}

func TestStateDirectoryInsideIsNeverRemoved(t *testing.T) {
	p := place(t)
	mkdirs(t, p.Data, "a/state", "b")
	write(t, filepath.Join(p.Data, "a/state/claim.json"))
	l := Inspect(p.Data, p.StateDir, 1)
	if err := clean(p.Data, filepath.Join(p.Data, "a/state"), l.Inode); !errors.Is(err, ErrRefused) {
		t.Fatalf("%v: expected ErrRefused", err)
	}
	for _, name := range []string{"a/state/claim.json", "b"} {
		if _, err := os.Stat(filepath.Join(p.Data, name)); err != nil {
			t.Errorf("%v: expected that nothing was removed", err)
		}
	}
}
