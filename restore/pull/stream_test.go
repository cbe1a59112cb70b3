package pull

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/restore"
)

// shell is a command of the tests.
func shell(t *testing.T, script string) []Command {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "output"))
	must(t, err)
	t.Cleanup(func() { must(t, out.Close()) })
	return []Command{{Argv: []string{"/bin/sh", "-c", script}, Env: []string{"PATH=" + os.Getenv("PATH"), "SEEN=yes"}, Output: out}}
}

func (s *scene) loads(t *testing.T, script string) (Result, string, error) {
	t.Helper()
	c := s.choose(t, Settings{})
	j := Job{Repo: s.repo, Target: s.target(), Choice: c, Load: shell(t, script)}
	j.Load[0].Dir = s.data
	r, err := Run(t.Context(), j)
	text, e := os.ReadFile(j.Load[0].Output.Name())
	must(t, e)
	return r, string(text), err
}

func TestStreamIsPiped(t *testing.T) {
	s := newScene(t)
	dump := append(noise(1, 5<<20+3), make([]byte, 3<<20)...)
	dump = append(dump, noise(2, 777)...)
	s.stream(t, "mariadb-dump", bytes.NewReader(dump))
	s.token = 2
	r, said, err := s.loads(t, `cat >whole; echo "env $SEEN $SECRET"; echo err >&2`)
	must(t, err)
	got, err := os.ReadFile(filepath.Join(s.data, "whole"))
	must(t, err)
	if !bytes.Equal(got, dump) || !r.Stream || r.Bytes == 0 || said != "env yes \nerr\n" {
		t.Errorf("%d of %d bytes, %+v, %q", len(got), len(dump), r, said)
	}
	if st := restore.Inspect(s.data, s.state, 2).State; st.Phase != restore.PhaseClean || st.Last.Token != 2 {
		t.Errorf("%+v", st)
	}
}

// What a command must not get away with; after each of them the restore is unfinished, and the next one
// begins with an empty directory.
func TestStreamCommandsThatFail(t *testing.T) {
	for _, c := range []struct {
		name, script, says string
		small              bool
	}{
		{"fails at once", "exit 3", "status 3", false},
		{"fails at the end", "cat >half; exit 4", "status 4", false},
		{"reads nothing", "exit 0", "status 0", false},
		{"reads a little", "head -c 1000 >half", "status 0", false},
		{"reads nothing of a little", "exit 0", "status 0", true},
		{"reads nothing of a little, later", "sleep 1", "unread", true},
		{"closes its input", "exec <&-; : >half", "status 0", false},
		{"killed", "cat >half; kill -9 $$", "killed", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t)
			size := 8 << 20
			if c.small {
				size = 100
			}
			s.stream(t, "", bytes.NewReader(noise(1, size)))
			_, _, err := s.loads(t, c.script)
			if err == nil || !strings.Contains(err.Error(), c.says) || exit.Code(err) != exit.Restore || s.phase() != restore.PhaseRestoring {
				t.Fatalf("%v, phase %s: expected %q", err, s.phase(), c.says)
			}
			if err := restore.StartTenure(s.target()); !errors.Is(err, restore.ErrRefused) {
				t.Errorf("%v: expected that nothing starts", err)
			}
			s.token++
			must(t, os.WriteFile(filepath.Join(s.data, "left"), nil, 0o600))
			_, said, err := s.loads(t, "ls; cat >whole")
			if err != nil || said != "whole\n" && said != "" || s.phase() != restore.PhaseClean {
				t.Errorf("%v, %q, phase %s", err, said, s.phase())
			}
		})
	}
}

func TestStreamWithoutCommandTouchesNothing(t *testing.T) {
	s := newScene(t)
	s.stream(t, "postgres-dump", strings.NewReader("dump"))
	_, err := Run(t.Context(), s.job(t, Settings{}, restore.Run))
	if err == nil || !strings.Contains(err.Error(), "restore.exec") || exit.Code(err) != exit.Restore || s.phase() != "" {
		t.Errorf("%v, phase %q", err, s.phase())
	}
	j := s.job(t, Settings{}, restore.Run)
	j.Load = []Command{{Argv: []string{"no-such-program"}, Env: []string{"PATH=/bin"}}}
	if _, err = Run(t.Context(), j); err == nil || !strings.Contains(err.Error(), "not found in /bin") {
		t.Errorf("%v", err)
	}
}

// The context ends: the command and its children are killed, and nothing is clean.
func TestStreamIsKilled(t *testing.T) {
	s := newScene(t)
	s.stream(t, "", bytes.NewReader(noise(1, 4<<20)))
	j := s.job(t, Settings{}, restore.Run)
	j.Load = shell(t, `sleep 600 & echo $! >"`+s.data+`/pid"; cat >/dev/null; wait`)
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() { _, err := Run(ctx, j); done <- err }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 4000 {
		if text, err := os.ReadFile(filepath.Join(s.data, "pid")); err == nil && bytes.HasSuffix(text, []byte("\n")) {
			break
		}
		<-tick.C
	}
	lost := errors.New("the lease was lost")
	cancel(lost)
	if err := <-done; !errors.Is(err, lost) || s.phase() != restore.PhaseRestoring {
		t.Errorf("%v, phase %s", err, s.phase())
	}
	for _, pid := range testkit.Orphans() {
		testkit.ReapOrphan(t, pid)
	}
}

// A stream that is cut in the store ends the command before it can take that for the end.
func TestDamagedStreamIsNotTakenForWhole(t *testing.T) {
	s := newScene(t)
	s.stream(t, "", bytes.NewReader(noise(1, 30<<20)))
	packs, err := filepath.Glob(filepath.Join(s.store, "snap/*/*.pack"))
	must(t, err)
	must(t, os.Truncate(packs[len(packs)-1], 100))
	_, _, err = s.loads(t, "cat >half && : >whole")
	if exit.Code(err) != exit.Damaged || s.phase() != restore.PhaseRestoring {
		t.Errorf("%v, code %d, phase %s", err, exit.Code(err), s.phase())
	}
	if _, err := os.Lstat(filepath.Join(s.data, "whole")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the command saw an end: %v", err)
	}
}

// Killed with the command at each point, the next one begins anew.
func TestStreamKilledAtEveryPoint(t *testing.T) {
	for _, point := range each("restore:recorded restore:state pull:begun pull:piped restore:commit pull:done restore:cleaned") {
		t.Run(point, func(t *testing.T) {
			s := sceneIn(t, inMemory(t))
			dump := noise(1, 2<<20)
			s.stream(t, "", bytes.NewReader(dump))
			o := s.order(Settings{})
			o.Load = []string{"/bin/sh", "-c", "test ! -e " + s.data + "/whole && cat >" + s.data + "/whole"}
			if point == "restore:cleaned" {
				killedAt(t, o, "pull:piped")
				s.token++
				o.Token = s.token
			}
			killedAt(t, o, point)
			for _, pid := range testkit.Orphans() {
				testkit.ReapOrphan(t, pid)
			}
			if l := restore.Inspect(s.data, s.state, 0); (l.State.Phase == restore.PhaseClean) != (point == "pull:done") {
				t.Errorf("%s: phase %s", point, l.State.Phase)
			}
			s.token++
			o.Token = s.token
			ends(t, o)
			if got, err := os.ReadFile(filepath.Join(s.data, "whole")); err != nil || !bytes.Equal(got, dump) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
}
