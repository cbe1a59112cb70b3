package backup

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/internal/store"
	"github.com/interlock-run/interlock/internal/store/dir"
	"github.com/interlock-run/interlock/internal/testkit"
)

// hooked is the source of a service that a script freezes. $T is a folder for what it wants to tell.
func (r *rig) hooked(mode Mode, script string) (Source, string) {
	r.Helper()
	told := r.TempDir()
	return Source{Mode: mode, Data: r.data, Freeze: []string{"sh", "-c", script}, Limit: 20 * time.Second,
		Run: Process{Env: append(os.Environ(), "T="+told)}}, told
}

// thawed wants the script to have come to its end.
func (r *rig) thawed(told string) {
	r.Helper()
	if _, err := os.Stat(filepath.Join(told, "thawed")); err != nil {
		r.Errorf("the service was not thawed: %v", err)
	}
}

const waits = `while read x; do :; done; `

func TestHook(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write("a", "one")
	r.write("old_label", "old")
	r.write("wal/1", "skipped")
	r.write("z", "last")
	src, told := r.hooked(Hook, `echo 'exclude /wal/*'; echo ready; echo chatter; test "$INTERLOCK_BACKUP_DATA" = '`+r.data+`' || exit 9
		touch $T/frozen; `+waits+`cd "$INTERLOCK_BACKUP_EXTRA" && echo START >backup_label && echo new >old_label && mkdir wal && echo log >wal/2; touch $T/thawed`)
	res, err := r.takesWhile(src, map[string]func(){"z": func() {
		if _, err := os.Stat(filepath.Join(told, "thawed")); err == nil {
			t.Error("thawed before the end of the copy")
		}
	}})
	must(t, err)
	r.thawed(told)
	got := r.content(res.Snapshot)
	want := map[string]string{".": "", "a": "one", "backup_label": "START\n", "old_label": "new\n", "wal": "", "wal/2": "log\n", "z": "last"}
	if len(got) != len(want) {
		t.Errorf("snapshot %v, want %v", got, want)
	}
	for path, text := range want {
		if got[path] != text {
			t.Errorf("%q holds %q, want %q", path, got[path], text)
		}
	}
}

// Only with leave of the freeze command may a file move.
func TestHookMoving(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		says string
		want error
	}{{"", snapshot.ErrChanged}, {"echo moving; ", nil}} {
		r := newRig(t)
		r.write("a", "one")
		r.write("m", strings.Repeat("m", 2<<20))
		r.write("z", "last")
		src, told := r.hooked(Hook, c.says+"echo ready; "+waits+"touch $T/thawed")
		res, err := r.takesWhile(src, map[string]func(){"m": func() { r.write("a", "two"); r.write("m", strings.Repeat("n", 2<<20)) }})
		if !errors.Is(err, c.want) {
			t.Errorf("%q: error %v, want %v", c.says, err, c.want)
		}
		r.thawed(told)
		if err == nil && (res.Torn < 1 || r.content(res.Snapshot)["m"][:1] != "n") {
			t.Errorf("%d files moved, want one or more", res.Torn)
		}
	}
}

// Whatever goes wrong with a freeze command, nothing is published, the error says what, and it is thawed.
func TestHookFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script string
		want   error
		says   string
		thawed bool
	}{
		"not ready":     {"echo no disk >&2; exit 4", ErrCommand, "no disk", false},
		"closes":        {"exec >&-; " + waits + "touch $T/thawed", ErrCommand, "before it was ready", true},
		"wrong word":    {"echo steady; " + waits + "touch $T/thawed", ErrCommand, "steady", true},
		"fails to thaw": {"echo ready; " + waits + "touch $T/thawed; echo stuck >&2; exit 5", ErrCommand, "stuck", true},
		"ends early":    {"echo $$ >$T/pid; echo ready; echo oops >&2; exit 0", ErrCommand, "oops", false},
		"late nonsense": {"echo ready; " + waits + "touch $T/thawed; cd $INTERLOCK_BACKUP_EXTRA && touch d", nil, "directory", true},
		"no program":    {"", ErrTool, "no-such-hook", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.write("a", "one")
			r.write("d/b", strings.Repeat("b", 4<<20))
			src, told := r.hooked(Hook, c.script)
			if c.script == "" {
				src.Freeze = []string{"no-such-hook"}
			}
			before := r.catalog()
			_, err := r.takesWhile(src, map[string]func(){"d": func() {
				if name == "ends early" { // the copy goes on beside the command's end
					pid, err := os.ReadFile(filepath.Join(told, "pid"))
					must(t, err)
					testkit.Wait(t, time.Minute, func() (bool, string) {
						_, err := os.Stat("/proc/" + strings.TrimSpace(string(pid)))
						return errors.Is(err, os.ErrNotExist), "the command has not ended"
					})
					pass(t, 100*time.Millisecond) // and is known to have ended
				}
			}})
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %v with %q", err, c.want, c.says)
			}
			if after := r.catalog(); len(after.Live) != len(before.Live) {
				t.Errorf("%d snapshots, want %d", len(after.Live), len(before.Live))
			}
			if c.thawed {
				r.thawed(told)
			}
		})
	}
}

// A command that neither gets ready nor thaws has its limit.
func TestHookLimits(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{"freezing": "while :; do sleep 1000; done", "thawing": "echo ready; while :; do sleep 1000; done"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.write("a", "one")
			src, _ := r.hooked(Hook, script)
			src.Limit = 500 * time.Millisecond
			if err := r.refuses(src, ErrCommand); err == nil || !strings.Contains(err.Error(), "within 500ms") {
				t.Errorf("error %v does not name the limit", err)
			}
		})
	}
}

// The end of the context thaws too: in good order, while copying and while freezing.
func TestHookIsCancelled(t *testing.T) {
	t.Parallel()
	lost := errors.New("the lease was lost")
	for name, script := range map[string]string{
		"frozen":   "echo ready; " + waits + "touch $T/thawed",
		"freezing": "touch $T/begun; " + waits + "touch $T/thawed",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.write("a", "one")
			src, told := r.hooked(Hook, script)
			ctx, cancel := context.WithCancelCause(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				for ctx.Err() == nil && pause(ctx, 10*time.Millisecond) {
					if _, err := os.Stat(filepath.Join(told, "begun")); err == nil {
						cancel(lost)
					}
				}
			}()
			if name == "frozen" {
				r.cancelWhile(ctx, cancel, lost, src)
			} else {
				r.refusesIn(ctx, src, lost)
			}
			cancel(nil)
			<-done
			r.thawed(told)
		})
	}
}

// cancelWhile ends the context in the middle of the copy.
func (r *rig) cancelWhile(ctx context.Context, cancel context.CancelCauseFunc, why error, src Source) {
	r.Helper()
	work, err := openScratch(r.scratch, nil)
	must(r, err)
	t := &taking{src: src, o: r.o.filled(), work: work, meddle: func(b *body) {
		items := b.items
		b.items = func(yield func(snapshot.Item, error) bool) {
			for item, err := range items {
				cancel(why)
				if !yield(item, err) {
					return
				}
			}
		}
	}}
	if _, err := t.tries(ctx); !errors.Is(err, why) {
		r.Errorf("error %v, want %v", err, why)
	}
	must(r, work.close())
}

// A held store writes nothing before the service is let go, as one does that lies on a frozen filesystem: it hears
// of no context.
type held struct {
	store.Store
	thawed string      // a file that is there once the service is let go
	gaveUp atomic.Bool // it never was
}

func (h *held) Put(ctx context.Context, key string, body io.ReadSeeker, size int64) error {
	for range 2000 {
		if _, err := os.Stat(h.thawed); err == nil {
			return h.Store.Put(ctx, key, body, size)
		}
		<-time.After(10 * time.Millisecond)
	}
	h.gaveUp.Store(true)
	return errors.New("the service was held for ever")
}

// TestHookIsLetGoWhenTimeIsOver: a writer that hangs in what is frozen must not keep the service frozen.
func TestHookIsLetGoWhenTimeIsOver(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	st, err := dir.Open(t.TempDir())
	must(t, err)
	t.Cleanup(func() { must(t, st.Close()) })
	h := &held{Store: st, thawed: filepath.Join(t.TempDir(), "thawed")}
	r.repo, err = snapshot.Init(t.Context(), h, snapshot.Scope{}, time.Now)
	must(t, err)
	r.o.Repository = r.repo
	r.write("a", strings.Repeat("x", 1000))
	src := r.cold()
	src.Mode, src.Run.Env = Hook, os.Environ()
	src.Freeze = []string{"sh", "-c", "echo ready; cat >/dev/null; touch " + h.thawed}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := r.refusesIn(ctx, src, context.DeadlineExceeded); h.gaveUp.Load() {
		t.Errorf("the service was held until the store gave up: %v", err)
	}
}
