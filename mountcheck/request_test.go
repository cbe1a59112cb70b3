package mountcheck

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/mountcheck/probe"
)

// asked is a target without a loop, examined by the test alone.
func asked(t *testing.T, c Config, e Expect) *target {
	t.Helper()
	tg := newTarget(newEnv(c), e)
	t.Cleanup(func() {
		if err := tg.prober.end(); err != nil {
			t.Error(err)
		}
		tg.prober.env.close()
	})
	return tg
}

// last is the stage that the helper has come to.
func (p *prober) last() probe.Stage {
	at, _ := p.helper.page.Stage()
	return at
}

// follows reads a file with each probe.
func follows(tg *target, rel string, last []byte) *follower {
	f := &follower{readRequest{path: rel, rel: rel, limit: 100, reply: make(chan readReply, 1)}, last}
	tg.setFollower(f)
	return f
}

// answer is what a probe has found for a follower.
func answer(t *testing.T, f *follower) readReply {
	t.Helper()
	select {
	case got := <-f.reply:
		return got
	default:
		t.Fatal("nothing was told")
		return readReply{}
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestAProbeIsOneRequest: a second one costs as much as all that it asks for.
func TestAProbeIsOneRequest(t *testing.T) {
	dir := tmpfs(t, "request")
	put(t, filepath.Join(dir, probe.Sentinel), "v\n")
	put(t, filepath.Join(dir, "claim"), "c")
	tg := asked(t, Config{}, Expect{Path: dir, Volume: "v"})
	tg.enable("")
	f := follows(tg, "claim", nil)
	tg.examine(t.Context())
	if got := answer(t, f); got.err != nil || string(got.data) != "c" {
		t.Errorf("got %q, %v", got.data, got.err)
	}
	_, before := tg.prober.helper.page.Stage()
	tg.examine(t.Context())
	want := []probe.Stage{probe.StageSend, probe.StageOpen, probe.StageStatfs, probe.StageSentinel, probe.StageRead, probe.StageDir,
		probe.StageCreate, probe.StageWrite, probe.StageFsync, probe.StageReadBack, probe.StageUnlink}
	at, now := tg.prober.helper.page.Stage()
	if f := tg.plain(); f.Kind != OK || at != probe.StageUnlink || now-before != uint64(len(want)) {
		t.Errorf("%d stages, the last %s, expected %v: %+v", now-before, at, want, f)
	}
}

// TestNothingIsWrittenToAnotherVolume: what comes before the write in a request ends it where it is not as expected.
func TestNothingIsWrittenToAnotherVolume(t *testing.T) {
	dir := tmpfs(t, "another")
	put(t, filepath.Join(dir, probe.Sentinel), "v\n")
	tg := asked(t, Config{}, Expect{Path: dir, Volume: "v"})
	tg.enable("")
	tg.examine(t.Context())
	put(t, filepath.Join(dir, probe.Sentinel), "w\n")
	before := changed(t, dir)
	tg.examine(t.Context())
	if f, at := tg.plain(), tg.prober.last(); f.Kind != Wrong || at != probe.StageSentinel {
		t.Errorf("got %+v after %s", f, at)
	}
	if now := changed(t, dir); now != before {
		t.Errorf("another volume was written to: %v, before %v", now, before)
	}
	tg.want.Policy = map[Kind]Policy{Wrong: Alert}
	tg.examine(t.Context())
	if f, at := tg.plain(), tg.prober.last(); f.Kind != Wrong || f.Fatal() || at != probe.StageUnlink {
		t.Errorf("an alert keeps from the write probe: %+v after %s", f, at)
	}
}

// TestWhatWasFoundBeforeAHang: the steps that were done before a write hangs count, and what was read is delivered.
func TestWhatWasFoundBeforeAHang(t *testing.T) {
	dir := ext4(t)
	put(t, filepath.Join(dir, "claim"), "c")
	tg := asked(t, Config{Timeout: 200 * time.Millisecond}, Expect{Path: dir})
	tg.enable("")
	tg.examine(t.Context())
	if f := tg.plain(); f.Kind != OK {
		t.Fatalf("got %+v", f)
	}
	tg.want.MinFree, tg.want.Policy = 1<<50, map[Kind]Policy{Full: Kill}
	thaw := freeze(t, dir)
	tg.examine(t.Context())
	if got := tg.plain(); got.Kind != Full || tg.prober.stuck == "" {
		t.Errorf("got %+v, stuck in %q", got, tg.prober.stuck)
	}
	tg.want.Bounds = Bounds{}
	tg.examine(t.Context())
	if got := tg.plain(); got.Kind != Hung {
		t.Errorf("got %+v", got)
	}
	thaw()
	eventually(t, "the helper's end", tg.prober.helper.ended)
	f := follows(tg, "claim", nil)
	thaw = freeze(t, dir)
	tg.examine(t.Context())
	thaw()
	if got := answer(t, f); got.err != nil || string(got.data) != "c" {
		t.Errorf("got %q, %v", got.data, got.err)
	}
	if got := tg.plain(); got.Kind != Hung {
		t.Errorf("got %+v", got)
	}
	eventually(t, "the helper's end", tg.prober.helper.ended)
}

// TestAnEndOfAnotherRequestIsNoAnswer.
func TestAnEndOfAnotherRequestIsNoAnswer(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	h := &helper{sock: os.NewFile(uintptr(pair[0]), "near")}
	defer h.sock.Close()
	defer unix.Close(pair[1])
	for number, want := range map[uint64]error{7: nil, 6: probe.ErrPacket} {
		if _, err := unix.Write(pair[1], binary.LittleEndian.AppendUint64(nil, number)); err != nil {
			t.Fatal(err)
		}
		if err := h.receive(t.Context(), time.Minute, 7); !errors.Is(err, want) {
			t.Errorf("%d: %v", number, err)
		}
	}
}

// TestReadNext: what is in the file, what comes there, and what is no file any more.
func TestReadNext(t *testing.T) {
	dir := tmpfs(t, "next")
	file := filepath.Join(dir, "claim")
	put(t, file, "1")
	w := watch(t, Config{Expect: []Expect{{Path: dir}}})
	want(t, w, dir, OK)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	first, err := w.ReadNext(ctx, file, 100, nil)
	if err != nil || string(first) != "1" {
		t.Fatalf("got %q, %v", first, err)
	}
	looks := w.plan.targets[0].looked()
	got := make(chan readReply, 1)
	go func() {
		data, err := w.ReadNext(ctx, file, 100, first)
		got <- readReply{data, err}
	}()
	eventually(t, "probes", func() bool { return w.plan.targets[0].looked() > looks+5 })
	if len(got) > 0 {
		t.Errorf("nothing has changed, and still: %+v", <-got)
	}
	next := filepath.Join(dir, "next")
	put(t, next, "2")
	if err := os.Rename(next, file); err != nil {
		t.Fatal(err)
	}
	eventually(t, "other bytes", func() bool { return len(got) > 0 })
	if g := <-got; g.err != nil || string(g.data) != "2" {
		t.Errorf("got %q, %v", g.data, g.err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := w.ReadNext(ctx, file, 100, first); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := w.ReadNext(ctx, "/etc/hostname", 100, nil); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file on no watched mount: %v", err)
	}
	unmount(t, dir, unix.MNT_DETACH)
	var bad *MountError
	if _, err := w.ReadNext(ctx, file, 100, first); errors.Is(err, fs.ErrNotExist) || !errors.As(err, &bad) || bad.Finding.Kind != Absent {
		t.Errorf("after the unmount: %v", err)
	}
}
