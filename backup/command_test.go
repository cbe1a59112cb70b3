package backup

import (
	"bufio"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"golang.org/x/sys/unix"
)

func TestCommand(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	res := r.takes(r.shell("echo working >&2; seq 1 500000"))
	got := r.content(res.Snapshot)["dump"]
	if !strings.HasPrefix(got, "1\n2\n") || !strings.HasSuffix(got, "\n500000\n") || int64(len(got)) != res.Snapshot.Bytes {
		t.Errorf("%d bytes came back, %d were stored", len(got), res.Snapshot.Bytes)
	}
	if a := res.Snapshot.About; a.Mode != "command" || a.Preset != "" {
		t.Errorf("about %+v", a)
	}
	r.tidy()
}

func TestCommandFails(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.takes(r.shell("echo good"))
	for name, c := range map[string]struct {
		script string
		want   error
		says   string
	}{
		"exit":   {"seq 1 100000; echo the server is gone >&2; exit 3", ErrCommand, "the server is gone"},
		"signal": {"seq 1 100000; kill -9 $$", ErrCommand, "killed"},
		"empty":  {"echo nothing to say >&2", ErrEmpty, "nothing to say"},
		"shrunk": {"printf 1", ErrShrunk, "--allow-shrink"},
	} {
		t.Run(name, func(t *testing.T) {
			r.TB = t
			err := r.refuses(r.shell(c.script), c.want)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v: want it to say %q", err, c.says)
			}
		})
	}
	r.TB = t
	err := r.refuses(r.command("no-such-dump-tool"), ErrTool)
	if !strings.Contains(err.Error(), "no-such-dump-tool") {
		t.Errorf("error %v does not name the tool", err)
	}
	r.o.AllowShrink = true
	r.takes(r.shell("printf 1"))
}

// When the context ends, the command goes with all below it.
func TestCommandIsKilled(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	fifo := filepath.Join(t.TempDir(), "pids")
	must(t, unix.Mkfifo(fifo, 0o600))
	said, err := os.OpenFile(fifo, os.O_RDWR, 0)
	must(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	lost := errors.New("the lease was lost")
	pids := make(chan string, 1)
	go func() {
		line, err := bufio.NewReader(said).ReadString('\n')
		cancel(errors.Join(lost, err))
		pids <- line
	}()
	err = r.refusesIn(ctx, r.shell("sleep 1000 & echo data; echo $! $$ >'"+fifo+"'; wait"), lost)
	must(t, said.Close())
	if errors.Is(err, ErrCommand) {
		t.Errorf("error %v blames the command", err)
	}
	for _, word := range strings.Fields(testkit.Recv(t, time.Minute, "the script's word", pids)) {
		pid, err := strconv.Atoi(word)
		must(t, err)
		testkit.Wait(t, time.Minute, func() (bool, string) { return testkit.TreeGone(pid), "runs: " + word })
	}
}
