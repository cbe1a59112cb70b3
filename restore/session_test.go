package restore

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
	"golang.org/x/sys/unix"
)

var fromStore = Origin{Repository: "r", Snapshot: "s1", Catalog: 4}

func session(t *testing.T, p Target, f func(*Session) error) error {
	t.Helper()
	s, err := Open(p)
	if err != nil {
		t.Fatal(err)
	}
	return errors.Join(f(s), s.Close())
}

func begins(t *testing.T, p Target, way Way) error {
	t.Helper()
	return session(t, p, func(s *Session) error { return s.Begin(fromStore, way) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, ErrRefused) {
		t.Fatalf("%v: expected ErrRefused", err)
	}
}

func TestSessionFromBeginToEnd(t *testing.T) {
	p := place(t)
	must(t, begins(t, p, Fresh))
	write(t, filepath.Join(p.Data, "half"))
	refused(t, begins(t, p, Fresh))
	refused(t, StartTenure(p))
	p.Token = 2
	must(t, begins(t, p, Again))
	refused(t, session(t, Target{Data: p.Data, StateDir: p.StateDir, Token: 3}, (*Session).End)) // not the tenure that began it
	must(t, session(t, p, (*Session).End))
	s := Inspect(p.Data, p.StateDir, 2).State
	if s.Phase != PhaseClean || s.Last.Token != 2 || s.Origin != fromStore || s.When != WhenEmpty {
		t.Errorf("%+v", s)
	}
	refused(t, begins(t, p, Again)) // nothing is unfinished
	refused(t, session(t, p, (*Session).End))
	refused(t, session(t, p, (*Session).Empty))
	p.Token = 7
	must(t, StartTenure(p))
	must(t, StartTenure(p))
	if s := Inspect(p.Data, p.StateDir, 7).State; s.Last.Token != 7 || s.Token != 2 || s.Origin != fromStore {
		t.Errorf("%+v", s)
	}
	p.Token = 6
	refused(t, StartTenure(p))
	refused(t, begins(t, p, Over))
}

func TestSessionOverWhatWasGivenUp(t *testing.T) {
	p := place(t)
	write(t, filepath.Join(p.Data, "old"))
	refused(t, begins(t, p, Again))
	refused(t, begins(t, p, "odd"))
	must(t, begins(t, p, Over))
	if l := Inspect(p.Data, p.StateDir, 1); !l.OwnLeftover() || l.State.When != whenReplace {
		t.Fatalf("%+v", l)
	}
	p.Token = 2
	must(t, begins(t, p, Again))
	if s := Inspect(p.Data, p.StateDir, 2).State; s.When != whenReplace || s.Token != 2 {
		t.Fatalf("%+v", s)
	}
	must(t, session(t, p, (*Session).Empty))
	must(t, session(t, p, (*Session).End))
	if l := Inspect(p.Data, p.StateDir, 2); l.Dir != DirEmpty || l.State.Phase != PhaseClean {
		t.Errorf("%+v", l)
	}
}

// Without a lock there is no token, and no tenure on record.
func TestSessionWithoutToken(t *testing.T) {
	p := place(t)
	p.Token = 0
	must(t, begins(t, p, Fresh))
	must(t, session(t, p, (*Session).End))
	if s := Inspect(p.Data, p.StateDir, 0).State; s.Phase != PhaseClean || s.Last != (Tenure{}) {
		t.Errorf("%+v", s)
	}
	refused(t, StartTenure(p))
}

// Another directory in the place of the one that was recorded is never taken for ours.
func TestSessionKnowsItsDirectory(t *testing.T) {
	p := place(t)
	must(t, begins(t, p, Fresh))
	must(t, os.Rename(p.Data, p.Data+".old"))
	mkdirs(t, p.Data, "precious")
	refused(t, begins(t, p, Again))
	refused(t, session(t, p, (*Session).Empty))
	refused(t, session(t, p, (*Session).End))
	if Inspect(p.Data, p.StateDir, 1).OwnLeftover() {
		t.Error("taken for ours")
	}
}

func TestSessionIsLocked(t *testing.T) {
	p := place(t)
	must(t, session(t, p, func(*Session) error {
		if s, err := Open(p); err == nil {
			t.Error("a second session at once")
			return s.Close()
		}
		return nil
	}))
}

// What a restore from a store left, a script may go on with only where all of it may be removed.
func TestScriptAfterStore(t *testing.T) {
	for _, c := range []struct {
		way    Way
		when   string
		script bool
		want   string
	}{
		{Fresh, WhenEmpty, true, "resume+"}, {Fresh, WhenAlways, true, "refuse"}, {Fresh, WhenEmpty, false, "refuse"},
		{Over, WhenEmpty, true, "refuse"}, {Over, WhenAlways, true, "refuse"},
	} {
		p := place(t)
		if c.way == Over {
			write(t, filepath.Join(p.Data, "old"))
		}
		must(t, begins(t, p, c.way))
		write(t, filepath.Join(p.Data, "half"))
		if d := Decide(Inspect(p.Data, p.StateDir, 2), c.when, c.script); short(d) != c.want {
			t.Errorf("%+v: %+v", c, d)
		}
	}
}

func TestAdoptedByATenure(t *testing.T) {
	p := place(t)
	write(t, filepath.Join(p.Data, "theirs"))
	must(t, StartTenure(p))
	l := Inspect(p.Data, p.StateDir, 2)
	if l.State.When != whenAdopted || l.State.Last.Token != 1 || l.Unusable() != "" {
		t.Errorf("%+v", l)
	}
	if d := Decide(l, WhenEmpty, true); d.Action != None || !strings.Contains(d.Reason, "adopted") {
		t.Errorf("%+v", d)
	}
	if d := Decide(Inspect(p.Data, p.StateDir, 0), WhenEmpty, true); d.Action != None {
		t.Errorf("%+v", d)
	}
	// A script's own restore is the tenure's, too.
	q := place(t)
	begin1(t, q, "run")
	if _, err := Commit(q); err != nil {
		t.Fatal(err)
	}
	q.Token = 5
	must(t, StartTenure(q))
	if s := Inspect(q.Data, q.StateDir, 5).State; s.Token != 1 || s.Last.Token != 5 || s.When != WhenEmpty {
		t.Errorf("%+v", s)
	}
}

// ours1 is data of tenure 3.
func ours1(t *testing.T) Target {
	t.Helper()
	p := place(t)
	must(t, os.Chmod(p.Data, 0o750))
	p.Token = 3
	write(t, filepath.Join(p.Data, "mine"))
	must(t, StartTenure(p))
	p.Token = 9
	return p
}

func TestPutAside(t *testing.T) {
	p := ours1(t)
	aside := ""
	must(t, session(t, p, func(s *Session) (err error) { aside, err = s.PutAside(); return err }))
	if filepath.Dir(aside) != filepath.Dir(p.Data) || !strings.HasPrefix(filepath.Base(aside), "data.diverged-3-2") {
		t.Errorf("%q", aside)
	}
	if _, err := os.Stat(filepath.Join(aside, "mine")); err != nil {
		t.Error(err)
	}
	l := Inspect(p.Data, p.StateDir, 9)
	info, err := os.Stat(p.Data)
	if err != nil || l.Dir != DirEmpty || info.Mode().Perm() != 0o750 {
		t.Errorf("%+v, %v, %v", l, info, err)
	}
	refused(t, session(t, p, func(s *Session) error { _, err := s.PutAside(); return err }))
	must(t, begins(t, p, Fresh))
}

// Whatever bears the name already is left alone.
func TestPutAsideTakesNoNameOfAnother(t *testing.T) {
	p := ours1(t)
	d, err := Open(p)
	must(t, err)
	s := d.Look().State
	s.Last.Aside = "data.diverged-3-x"
	must(t, errors.Join(storeState(d.d, s), d.Close()))
	mkdirs(t, filepath.Dir(p.Data), "data.diverged-3-x/theirs")
	refused(t, session(t, p, func(s *Session) error { _, err := s.PutAside(); return err }))
	if l := Inspect(p.Data, p.StateDir, 9); l.Dir != DirNonempty || l.Detail != "mine" {
		t.Errorf("%+v", l)
	}
}

func TestPutAsideRefusesAMountPoint(t *testing.T) {
	p := ours1(t)
	if err := unix.Mount(p.Data, p.Data, "", unix.MS_BIND, ""); err != nil {
		testkit.Skip(t, "mount", err.Error())
	}
	t.Cleanup(func() { testkit.Unmount(t, p.Data) })
	err := session(t, p, func(s *Session) error { _, err := s.PutAside(); return err })
	refused(t, err)
	if !strings.Contains(err.Error(), "mount point") || Inspect(p.Data, p.StateDir, 9).State.Last.Aside != "" {
		t.Errorf("%v", err)
	}
}
