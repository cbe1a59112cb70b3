package backup

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/internal/store/dir"
	"github.com/interlock-run/interlock/internal/testkit"
)

// taker is the command with break points.
func taker(t testing.TB) string { return testkit.Program(t, "./testdata/taker", "breakpoints") }

const killLimit = 2 * time.Minute

// A victim is a repository whose writers are killed.
type victim struct {
	*rig
	store string
	token fence.Token
	round int
	told  string
}

func newVictim(t *testing.T) *victim {
	t.Helper()
	v := &victim{rig: newRig(t), store: t.TempDir(), told: t.TempDir()}
	v.repo = newRepository(t, v.store)
	for i := range 60 {
		v.write(fmt.Sprintf("d%d/f%02d", i%7, i), v.text(i))
	}
	v.write("big", strings.Repeat("0123456789abcdef", 1<<20))
	return v
}

func (v *victim) text(i int) string { return strings.Repeat(fmt.Sprint(v.round, "-", i, " "), 5000) }

// source is the tree in one mode after the other, always changed a little.
func (v *victim) source() Source {
	v.Helper()
	v.round++
	for i := range 5 {
		v.write(fmt.Sprintf("d%d/f%02d", i%7, i), v.text(i))
	}
	noise := make([]byte, 3<<20)
	rnd := rand.NewChaCha8([32]byte{byte(v.round), byte(v.round >> 8)})
	_, _ = rnd.Read(noise) // never fails
	v.write("noise", string(noise))
	src := v.cold()
	switch v.round % 3 {
	case 1:
		src.Mode = Hook
		src.Freeze = []string{"sh", "-c", "echo ready; " + waits + "echo " + fmt.Sprint(v.round) + " >$INTERLOCK_BACKUP_EXTRA/label; touch $T/thawed"}
	case 2:
		src.Mode, src.Data, src.Exec = Command, "", []string{"cat", filepath.Join(v.data, "big"), filepath.Join(v.data, "noise")}
	}
	return src
}

// start runs a taker.
func (v *victim) start(src Source, env ...string) *testkit.Process {
	v.Helper()
	exe := taker(v)
	text, err := json.Marshal(map[string]any{"Store": v.store, "Scratch": v.scratch, "Token": v.token, "Source": src, "Keep": snapshot.Keep{Last: 4}})
	must(v, err)
	_ = os.Remove(filepath.Join(v.told, "thawed")) // not there in most rounds
	cmd := exec.Command(exe)
	cmd.Stdin, cmd.Env = bytes.NewReader(text), append(append(os.Environ(), "T="+v.told), env...)
	return testkit.StartCmd(v, cmd)
}

// ends wants a backup to succeed.
func (v *victim) ends(src Source) {
	v.Helper()
	p := v.start(src)
	if code := p.Wait(v, killLimit); code != 0 {
		v.Fatalf("exit %d: %s", code, p.Stderr(v))
	}
}

// sound wants all that is live to be whole, and what was frozen to be let go.
func (v *victim) sound(src Source, frozen bool) {
	v.Helper()
	if src.Mode == Hook && frozen {
		testkit.Wait(v, killLimit, func() (bool, string) {
			_, err := os.Stat(filepath.Join(v.told, "thawed"))
			return err == nil, "the service is still held"
		})
	}
	for _, s := range v.catalog().Live {
		must(v, v.repo.Verify(v.Context(), s, nil))
	}
}

// holds wants the newest snapshot to be the tree as it is.
func (v *victim) holds(src Source) {
	v.Helper()
	s, _ := ptr(v.catalog()).Newest()
	got := v.content(s)
	noise, err := os.ReadFile(filepath.Join(v.data, "noise"))
	must(v, err)
	if src.Mode == Command {
		if !strings.HasSuffix(got["dump"], string(noise)) || s.Bytes != 19<<20 {
			v.Errorf("stream of %d bytes", len(got["dump"]))
		}
		return
	}
	if got["noise"] != string(noise) || got["d1/f01"] != v.text(1) || len(got) < 69 {
		v.Errorf("tree of %d entries", len(got))
	}
	if src.Mode == Hook && got["label"] != fmt.Sprintln(v.round) {
		v.Errorf("label %q, want %d", got["label"], v.round)
	}
}

func ptr[T any](v T) *T { return &v }

// collected wants nothing in the store but what live snapshots need.
func (v *victim) collected() {
	v.Helper()
	v.ends(v.source())
	sweep, err := v.repo.Collect(v.Context(), v.who(), true)
	must(v, err)
	if sweep.Deleted > 0 || len(sweep.Current) > 0 {
		v.Errorf("left in the store: %d objects to delete, uploads %v", sweep.Deleted, sweep.Current)
	}
	found, err := filepath.Glob(filepath.Join(v.scratch, scratchName, "*"))
	must(v, err)
	for _, path := range found {
		if !strings.HasSuffix(path, keptSuffix) {
			v.Errorf("left in the scratch directory: %s", path)
		}
	}
}

func (v *victim) who() snapshot.Holder {
	if v.token == 0 {
		return snapshot.Holder{}
	}
	return snapshot.Holder{Token: v.token, Scope: snapshot.Scope{Lock: "db", Kind: "file"}}
}

// TestKilledAtPoints kills a backup at every named point, with and without a lock.
func TestKilledAtPoints(t *testing.T) {
	t.Parallel()
	points := []string{"backup:begun", "put#1", "put#2", "stored#1", "stored#2", "backup:written", "create", "created", "backup:published", "create#2", "delete", "deleted",
		"backup:frozen", "backup:thawed"}
	for _, token := range []fence.Token{0, 7} {
		t.Run(fmt.Sprint("token ", token), func(t *testing.T) {
			t.Parallel()
			v := newVictim(t)
			v.token = token
			for range 5 { // so that there is something to delete
				v.ends(v.source())
			}
			for _, point := range points {
				src := v.source()
				for strings.HasPrefix(point, "backup:frozen") != (src.Mode == Hook) && strings.HasPrefix(point, "backup:frozen") ||
					point == "backup:thawed" && src.Mode != Hook {
					src = v.source()
				}
				p := v.start(src, "BREAKPOINT="+point+"=kill")
				if code := p.Wait(t, killLimit); code != 128+int(syscall.SIGKILL) {
					t.Errorf("%s: exit %d: expected it to be killed: %s", point, code, p.Stderr(t))
				}
				v.sound(src, point != "backup:begun")
				v.ends(src)
				v.holds(src)
			}
			v.collected()
		})
	}
}

// TestKilledAtRandom kills backups at any moment: of 40 moments by a seed 8 in the short form.
func TestKilledAtRandom(t *testing.T) {
	t.Parallel()
	seed, rounds := uint64(time.Now().UnixNano()), 8
	if text := os.Getenv("BACKUP_KILL_SEED"); text != "" {
		_, err := fmt.Sscan(text, &seed)
		must(t, err)
	}
	if testkit.Long() {
		rounds = 40
	}
	t.Logf("BACKUP_KILL_SEED=%d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	v := newVictim(t)
	v.ends(v.source())
	whole, killed, tries := v.lasts(v.source()), 0, 0
	for ; killed < rounds && tries < 4*rounds; tries++ {
		src := v.source()
		p := v.start(src, "KILL_AFTER="+time.Duration(rnd.Int64N(int64(whole))).String())
		switch code := p.Wait(t, killLimit); code {
		case 128 + int(syscall.SIGKILL):
			killed++
		case 0:
		default:
			t.Errorf("exit %d: %s", code, p.Stderr(t))
		}
		v.sound(src, false)
		whole = (whole + v.lasts(src)) / 2
		v.holds(src)
	}
	v.collected()
	if t.Logf("%d of %d were killed in time", killed, tries); killed < rounds/2 {
		t.Errorf("only %d were killed in time, want %d", killed, rounds)
	}
}

// lasts is how long a backup takes.
func (v *victim) lasts(src Source) time.Duration {
	v.Helper()
	began := time.Now()
	v.ends(src)
	return time.Since(began)
}

// A later holder clears away what a killed one has left, wherever that had its scratch directory.
func TestLaterHolderCollects(t *testing.T) {
	t.Parallel()
	v := newVictim(t)
	v.token = 3
	v.ends(v.source())
	p := v.start(v.source(), "BREAKPOINT=backup:written=kill")
	p.Wait(t, killLimit)
	v.token, v.scratch = 4, t.TempDir()
	v.collected()
	// The earlier one is fenced off, at its first look.
	v.token = 3
	p = v.start(v.source())
	if code := p.Wait(t, killLimit); code != 1 || !strings.Contains(p.Stderr(t), snapshot.ErrFencedOff.Error()) {
		t.Errorf("exit %d: %s", code, p.Stderr(t))
	}
	st, err := dir.Open(v.store)
	must(t, err)
	must(t, errors.Join(st.Close()))
}
