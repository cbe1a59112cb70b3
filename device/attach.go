package device

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// errOthers is a device that somebody else has attached on this node.
var errOthers = errors.New("it is attached, and not by us: somebody else on this node uses it")

// mark is what the kernel shows of an attachment, different for each; empty: nothing is attached.
func (w *work) mark() (string, error) {
	dir := filepath.Join("/sys/class/block", filepath.Base(w.Path))
	size, err := os.ReadFile(filepath.Join(dir, "size"))
	if errors.Is(err, fs.ErrNotExist) || err == nil && strings.TrimSpace(string(size)) == "0" && !exists(filepath.Join(dir, "pid")) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	parts := []string{"attached"}
	names := []string{"diskseq", "loop/backing_file"}
	if w.NBD.Host != "" {
		names = []string{"pid"}
	}
	for _, name := range names {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		parts = append(parts, strings.TrimSpace(string(raw)))
	}
	return strings.Join(parts, " "), nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// attached: a device that we began to attach and that is attached now is ours, for it was free before.
func (w *work) attached() (bool, error) {
	now, err := w.mark()
	switch {
	case err != nil || now == "":
		return false, err
	case !w.state.rec.Begun, w.state.rec.Mark != "" && w.state.rec.Mark != now:
		return false, errOthers
	case w.state.rec.Mark == "":
		return true, w.state.store(true, now)
	}
	return true, nil
}

func (w *work) attach(ctx context.Context) error {
	if err := w.state.store(true, ""); err != nil {
		return err
	}
	if err := command(ctx, w.attachCommand()); err != nil {
		return err
	}
	now, err := w.mark()
	if err == nil && now == "" {
		err = fmt.Errorf("the command succeeded, and %s is not attached", w.Path)
	}
	if err != nil {
		return err
	}
	return w.state.store(true, now)
}

// attachCommand: one connection, for a second would only be allowed by a server that promises more than
// most do; a timeout, without which nothing but a disconnection ends a hang; and never -persist, which
// does not save a filesystem: its journal is aborted at the first error.
func (w *work) attachCommand() []string {
	if w.NBD.Host == "" {
		return w.Attach
	}
	seconds := int(math.Ceil(w.NBD.Timeout.Seconds()))
	args := []string{"nbd-client", "-timeout", strconv.Itoa(seconds)}
	if w.NBD.Export != "" {
		args = append(args, "-name", w.NBD.Export)
	}
	return append(args, w.NBD.Host, strconv.Itoa(w.NBD.Port), w.Path)
}

// detach settles the device first: if it answers, every request before was answered, too.
func (w *work) detach(ctx context.Context) error {
	now, err := w.mark()
	switch {
	case err != nil:
		return err
	case now == "":
		return w.state.store(false, "")
	case !w.state.rec.Begun, w.state.rec.Mark != "" && w.state.rec.Mark != now:
		return nil // not ours to take away
	}
	points, err := w.mountedAt()
	if err != nil {
		return err
	}
	if len(points) > 0 {
		return fmt.Errorf("it is mounted at %s", strings.Join(points, ", "))
	}
	w.rest.Settled = settle(ctx, w.Path, w.Limits.Detach/2) == nil
	args := w.Detach
	if w.NBD.Host != "" {
		args = []string{"nbd-client", "-d", w.Path}
	}
	if err := command(ctx, args); err != nil {
		return err
	}
	if err := w.waitDetached(ctx); err != nil {
		return err
	}
	return w.state.store(false, "")
}

// waitDetached: detaching can be lazy, with success and nothing happening.
func (w *work) waitDetached(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		now, err := w.mark()
		if err != nil || now == "" {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.New("it is still attached, although its detachment succeeded: something uses it")
		case <-tick.C:
		}
	}
}
