package databases

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
)

// look is how often the watch looks.
const look = 20 * time.Millisecond

// A watch writes the scene's trace: one line for every process that has the data directory as its working
// directory, as each of these servers has, at every look. Its token is the newest that an entrypoint had
// been given when the process was first seen, 0 before the first: a process of an older one that is still there then shows as
// an overlap.
type watch struct {
	data, tokens string
	out          *os.File
	seen         map[string]string // process with its start time: token
	stop, done   chan struct{}
	err          error // once done is closed
}

func startWatch(t testing.TB, r *rig) *watch {
	t.Helper()
	out, err := os.Create(r.Trace)
	must(t, err)
	dir, err := filepath.EvalSymlinks(r.Dir)
	must(t, err)
	data := dir + strings.TrimPrefix(r.db.Data, r.Dir) // may not be there yet
	w := &watch{data: data, tokens: r.tokens, out: out, seen: map[string]string{}, stop: make(chan struct{}), done: make(chan struct{})}
	go w.run()
	t.Cleanup(func() {
		close(w.stop)
		<-w.done
		must(t, errors.Join(w.err, w.out.Close()))
	})
	return w
}

func (w *watch) run() {
	defer close(w.done)
	beat := time.NewTicker(look)
	defer beat.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-beat.C:
			if w.err = w.once(); w.err != nil {
				return
			}
		}
	}
}

// once reads the tokens after the processes: an entrypoint writes its token before it starts any.
func (w *watch) once() error {
	at := scene.Now()
	found, err := w.open()
	if err != nil || len(found) == 0 {
		return err
	}
	raw, err := os.ReadFile(w.tokens)
	if err != nil {
		return err
	}
	all := append([]string{"0"}, strings.Fields(string(raw))...)
	var lines strings.Builder
	for process, pid := range found {
		if w.seen[process] == "" {
			w.seen[process] = all[len(all)-1]
		}
		fmt.Fprintf(&lines, "%d %s %d tick\n", int64(at), w.seen[process], pid)
	}
	_, err = w.out.WriteString(lines.String())
	return err
}

// open lists the live processes in the data directory.
func (w *watch) open() (map[string]int, error) {
	names, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	found := map[string]int{}
	for _, n := range names {
		pid, err := strconv.Atoi(n.Name())
		if err != nil {
			continue
		}
		// A zombie has no working directory, and a process may end at any moment.
		cwd, err := os.Readlink(filepath.Join("/proc", n.Name(), "cwd"))
		if err != nil || cwd != w.data {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", n.Name(), "stat"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:])); len(f) > 19 {
			found[n.Name()+" "+f[19]] = pid
		}
	}
	return found, nil
}

// gone waits until no process has the data directory open, and gives how long after that moment the last
// was seen.
func (r *rig) gone(t testing.TB, since time.Duration) time.Duration {
	t.Helper()
	waitFor(t, func() (bool, string) {
		left, err := r.watch.open()
		must(t, err)
		return len(left) == 0, fmt.Sprintf("processes %v still have %s open", left, r.Data)
	})
	var last time.Duration
	for _, l := range r.Lines(t) {
		last = max(last, l.At)
	}
	return last - since
}
