package pull

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/restore"
	"golang.org/x/sys/unix"
)

// small puts the data directory on a filesystem of its own, of so many bytes.
func (s *scene) small(t *testing.T, bytes int64) {
	t.Helper()
	at := filepath.Dir(s.data)
	must(t, os.RemoveAll(s.data))
	if err := unix.Mount("tmpfs", at, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		testkit.Skip(t, "mount", err.Error())
	}
	t.Cleanup(func() { must(t, unix.Unmount(at, unix.MNT_DETACH)) })
	must(t, os.Mkdir(s.data, 0o755))
}

// stoppedAt runs a puller to a point at which it stops.
func stoppedAt(t *testing.T, o order, point string) *testkit.Process {
	t.Helper()
	p := startPuller(t, o, "BREAKPOINT="+point+"=stop")
	testkit.Wait(t, limit, func() (bool, string) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid()))
		_, rest, _ := strings.Cut(string(stat), ") ")
		return err == nil && strings.HasPrefix(rest, "T"), rest
	})
	return p
}

func TestNoRoomIsToldBefore(t *testing.T) {
	s := newScene(t)
	s.database(t)
	s.takes(t)
	s.small(t, 9<<20)
	_, err := Run(t.Context(), s.job(t, Settings{}, restore.Run))
	if err == nil || !strings.Contains(err.Error(), "KiB, free are ") || exit.Code(err) != exit.Restore || s.phase() != "" {
		t.Errorf("%v, phase %q", err, s.phase())
	}
}

// The disk fills, or becomes read-only, in the midst: a clear end, unfinished; later it goes on.
func TestDiskFailsInTheMidst(t *testing.T) {
	for name, c := range map[string]struct {
		spoil, heal func(t *testing.T, at string)
		says        string
	}{
		"full": {func(t *testing.T, at string) {
			err := os.WriteFile(filepath.Join(at, "ballast"), make([]byte, 60<<20), 0o600)
			if !errors.Is(err, unix.ENOSPC) {
				t.Fatalf("%v: expected it to be full", err)
			}
		}, func(t *testing.T, at string) { must(t, os.Remove(filepath.Join(at, "ballast"))) }, "free space"},
		"read-only": {func(t *testing.T, at string) { remount(t, at, unix.MS_RDONLY) }, func(t *testing.T, at string) { remount(t, at, 0) }, "read-only"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.database(t)
			s.takes(t)
			s.small(t, 60<<20)
			p := stoppedAt(t, s.order(Settings{}), "pull:begun")
			c.spoil(t, filepath.Dir(s.data))
			p.Signal(t, syscall.SIGCONT)
			if code := p.Wait(t, limit); code != 1 || !strings.Contains(p.Stderr(t), c.says) || s.phase() != restore.PhaseRestoring || s.sentinel(t) {
				t.Errorf("exit %d, phase %s: %s", code, s.phase(), p.Stderr(t))
			}
			c.heal(t, filepath.Dir(s.data))
			s.token++
			ends(t, s.order(Settings{}))
			s.same(t)
		})
	}
}

func remount(t *testing.T, at string, flags uintptr) {
	t.Helper()
	must(t, unix.Mount("", at, "", unix.MS_REMOUNT|flags, ""))
}

// What changes a byte behind our back is found by the comparison at the end: it is not called clean.
func TestVerifyComesBeforeClean(t *testing.T) {
	s := newScene(t)
	s.database(t)
	s.takes(t)
	o := s.order(Settings{})
	o.Verify = true
	p := stoppedAt(t, o, "pull:finished")
	must(t, writeAt(filepath.Join(s.data, "ibdata1"), 7, 0))
	p.Signal(t, syscall.SIGCONT)
	if code := p.Wait(t, limit); code != 1 || !strings.Contains(p.Stderr(t), "ibdata1") || s.phase() != restore.PhaseRestoring {
		t.Errorf("exit %d, phase %s: %s", code, s.phase(), p.Stderr(t))
	}
	s.token++
	ends(t, s.order(Settings{}))
	s.same(t)
}

// Damage in the store: found before anything is touched (manifest), or in the midst (pack); with old data
// there too.
func TestDamagedStore(t *testing.T) {
	for name, c := range map[string]struct {
		glob  string
		phase restore.Phase
	}{"manifest": {"snap/*/manifest.zst", ""}, "pack": {"snap/*/00000.pack", restore.PhaseRestoring}} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.database(t)
			s.takes(t)
			found, err := filepath.Glob(filepath.Join(s.store, c.glob))
			must(t, err)
			data, err := os.ReadFile(found[0])
			must(t, err)
			whole := bytes.Clone(data)
			data[len(data)/2] ^= 1
			must(t, errors.Join(os.Chmod(found[0], 0o600), os.WriteFile(found[0], data, 0o600)))
			_, err = Run(t.Context(), s.job(t, Settings{}, restore.Run))
			if exit.Code(err) != exit.Damaged || s.phase() != c.phase || s.sentinel(t) {
				t.Errorf("%v, code %d, phase %q", err, exit.Code(err), s.phase())
			}
			must(t, os.WriteFile(found[0], whole, 0o600))
			s.token++
			a := restore.Run
			if c.phase != "" {
				a = restore.Resume
			}
			s.restores(t, Settings{}, a)
			s.same(t)
			must(t, os.Remove(found[0]))
			if _, err := Look(t.Context(), Job{Repo: s.repo, Target: s.target(), Choice: Choice{Snapshot: s.found(t).Catalog.Live[0]}}); name == "manifest" && exit.Code(err) != exit.Damaged {
				t.Errorf("%v", err)
			}
		})
	}
}

// Two restores at once: the second is refused at once.
func TestSecondRestoreIsRefused(t *testing.T) {
	s := newScene(t)
	s.database(t)
	s.takes(t)
	p := stoppedAt(t, s.order(Settings{}), "pull:run#3")
	j := Job{Repo: s.repo, Target: s.target(), Choice: ChooseAlone(restore.Inspect(s.data, s.state, 0), s.found(t), "", true)}
	if _, err := Run(t.Context(), j); exit.Code(err) != exit.Restore || !strings.Contains(err.Error(), "another process") {
		t.Errorf("%v", err)
	}
	p.Signal(t, syscall.SIGCONT)
	if code := p.Wait(t, limit); code != 0 {
		t.Errorf("exit %d: %s", code, p.Stderr(t))
	}
	s.same(t)
}

// Alone: a directory is made, an unfinished one resumed, what is there refused or replaced; a later run
// keeps what was restored, an older one too.
func TestAlone(t *testing.T) {
	s := newScene(t)
	s.database(t)
	old := s.takes(t)
	must(t, os.WriteFile(filepath.Join(s.from, "more"), []byte("more"), 0o644))
	s.takes(t)
	must(t, os.Remove(s.data))
	found := s.found(t)
	s.token = 0
	job := func(at string, replace bool) Job {
		return Job{Repo: s.repo, Target: s.target(), Choice: ChooseAlone(restore.Inspect(s.data, s.state, 0), found, at, replace), Verify: true}
	}
	p, err := Look(t.Context(), job("", false))
	if err != nil || p.Create < smalls || p.Fetch == 0 || p.Remove+p.Change+p.Same != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	_, err = Run(t.Context(), job("", false))
	must(t, err)
	s.same(t)
	if c := job("", false).Choice; c.Action != restore.Refuse {
		t.Errorf("%+v", c)
	}
	_, err = Run(t.Context(), job(string(old.ID), true))
	must(t, err)
	must(t, os.Remove(filepath.Join(s.from, "more")))
	must(t, os.Chtimes(s.from, time.Time{}, mtime(t, s.data)))
	s.same(t)
	s.token = 5
	if c := s.choose(t, Settings{}); c.Action != restore.None || !strings.Contains(c.Reason, "ours") {
		t.Errorf("%+v", c)
	}
	s.takes(t)
	s.token = 6
	if c := s.choose(t, Settings{}); c.Action != restore.Refuse || c.Code != exit.Restore {
		t.Errorf("%+v: expected it to be overtaken", c)
	}
}

func mtime(t *testing.T, path string) time.Time {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	return info.ModTime()
}

// Given up is one directory, not whatever lies there later.
func TestReplaceIsOfOneDirectory(t *testing.T) {
	s := newScene(t)
	s.database(t)
	s.takes(t)
	s.token = 0
	must(t, os.WriteFile(filepath.Join(s.data, "old"), nil, 0o600))
	j := Job{Repo: s.repo, Target: s.target()}
	j.Choice = ChooseAlone(restore.Inspect(s.data, s.state, 0), holdsOf(t, s), "", true)
	must(t, os.Rename(s.data, s.data+".moved"))
	must(t, os.Mkdir(s.data, 0o755))
	must(t, os.WriteFile(filepath.Join(s.data, "precious"), nil, 0o600))
	if _, err := Run(t.Context(), j); !errors.Is(err, restore.ErrRefused) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(s.data, "precious")); err != nil {
		t.Error(err)
	}
}

func holdsOf(t *testing.T, s *scene) Found {
	t.Helper()
	c, err := s.repo.Catalog(t.Context())
	must(t, err)
	return Found{Repository: s.repo.ID, Catalog: c}
}

// Whoever is not root restores what he may, says what not, and verifies the rest.
func TestAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		testkit.Skip(t, "root", "only root can become somebody else")
	}
	exe := puller(t)
	root := testkit.PublicDir(t)
	s := sceneIn(t, root)
	s.database(t)
	must(t, os.Lchown(filepath.Join(s.from, "base/1/rows"), 12, 34))
	s.takes(t)
	for _, p := range []string{s.store, filepath.Dir(s.data)} {
		must(t, filepath.WalkDir(p, func(at string, _ os.DirEntry, err error) error { return errors.Join(err, os.Lchown(at, 65534, 65534)) }))
	}
	o := s.order(Settings{})
	o.Verify = true
	text, err := json.Marshal(o)
	must(t, err)
	cmd := exec.Command(exe)
	cmd.Stdin, cmd.SysProcAttr = bytes.NewReader(text), &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "owner not restored") {
		t.Errorf("%v: %s", err, out)
	}
	if l := restore.Inspect(s.data, s.state, 1); l.State.Phase != restore.PhaseClean {
		t.Errorf("%+v", l)
	}
}

// Memory does not grow with the tree.
func TestMemoryIsBounded(t *testing.T) {
	s := sceneIn(t, inMemory(t))
	must(t, os.WriteFile(filepath.Join(s.from, "big"), noise(1, 300<<20), 0o600))
	s.takes(t)
	p := startPuller(t, s.order(Settings{}))
	if code := p.Wait(t, limit); code != 0 {
		t.Fatalf("exit %d: %s", code, p.Stderr(t))
	}
	_, rest, _ := strings.Cut(p.Stdout(t), "VmHWM:")
	var most int // not by getrusage: that counts what we had when we forked
	if _, err := fmt.Sscan(rest, &most); err != nil || most>>10 > 100 {
		t.Errorf("%d MiB at the most, %v: expected at most 100", most>>10, err)
	} else {
		t.Logf("%d MiB", most>>10)
	}
}
