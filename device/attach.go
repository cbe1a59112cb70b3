package device

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// errOthers is a device that somebody else has attached on this node.
var errOthers = errors.New("it is attached, and not by us: somebody else on this node uses it, or our account of it was lost: if nobody does, unmount and detach it by hand")

// whose judges what is attached now: nothing, something of ours, or somebody else's.
func (w *work) whose() (ours bool, err error) {
	now, err := w.mark()
	switch {
	case err != nil || now == "":
		return false, err
	case !w.state.rec.Begun, w.state.rec.Mark != "" && w.state.rec.Mark != now:
		return false, errOthers
	case w.state.rec.Lock != w.Tenure.Lock:
		return false, fmt.Errorf("it is attached for the lock %q: two locks for one device keep nobody out", w.state.rec.Lock)
	case w.state.rec.Mark == "":
		if err := w.unmarked(); err != nil {
			return false, err
		}
		return true, w.state.attached(now, w.state.rec.Export)
	}
	return true, nil
}

// unmarked refuses what is attached where an attachment of ours was begun, and its end is not on record, if it
// cannot be ours: we were killed, and the device was free for others. We had not mounted it yet.
func (w *work) unmarked() error {
	points, err := w.mountedAt()
	if err == nil && len(points) > 0 {
		err = fmt.Errorf("%w (mounted at %s)", errOthers, strings.Join(points, ", "))
	}
	if err != nil || w.UUID == "" || w.state.rec.tenure() == w.Tenure {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), w.Limits.Attach, fmt.Errorf("not done within %v", w.Limits.Attach))
	defer cancel()
	found, err := w.probe(ctx, w.Path)
	if err != nil || !strings.EqualFold(found["UUID"], w.UUID) {
		err = errors.Join(fmt.Errorf("%w (its filesystem has UUID %q)", errOthers, found["UUID"]), err)
	}
	return err
}

// fresh: there is no left-over of an earlier tenure, which is never gone on with: another node may have
// written since, and what is in memory here would be wrong.
func (w *work) fresh() (bool, error) {
	ours, err := w.whose()
	if err != nil {
		return false, err
	}
	point, err := w.mountedNow()
	return !ours && !point || w.state.rec.tenure() == w.Tenure, err
}

func (w *work) attached() (bool, error) { return w.whose() }

func (w *work) attach(ctx context.Context) error {
	if err := w.state.begin(w.Tenure); err != nil {
		return err
	}
	export, err := w.connect(ctx)
	if err != nil {
		return err
	}
	now, err := w.waitFor(ctx, func(mark string) bool { return mark != "" })
	if err != nil {
		return fmt.Errorf("the command succeeded, and %s is not attached: %w", w.Path, err)
	}
	return w.state.attached(now, export)
}

// connect runs the command; a name that stands for several addresses is tried with each, until one has attached it.
func (w *work) connect(ctx context.Context) (export string, err error) {
	if w.NBD.Host == "" {
		return "", w.command(ctx, w.Attach)
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", w.NBD.Host)
	if err != nil {
		return "", fmt.Errorf("nbd server %s: %w", w.NBD.Host, err)
	}
	var errs []error
	for i, a := range addrs {
		if err = w.connectTo(ctx, a.Unmap(), len(addrs)-i); err == nil {
			return netip.AddrPortFrom(a.Unmap(), uint16(w.NBD.Port)).String(), nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", a.Unmap(), err))
		if now, err := w.mark(); err != nil || now != "" { // the client was killed when it was all but done
			return "", errors.Join(append(errs, err)...)
		}
	}
	return "", fmt.Errorf("%w: if the server runs and lets one client in at a time, another node still has the export: start interlock there, which lets go of what a dead run left, or fence that node by dropping its connection at the server", errors.Join(errs...))
}

// connectTo tries one of so many addresses that are left: each has its share, so that one which is dead, or takes the
// connection and says nothing, leaves time for the others.
func (w *work) connectTo(ctx context.Context, server netip.Addr, left int) error {
	ctx, cancel := share(ctx, left)
	defer cancel()
	return w.command(ctx, w.nbdCommand(server))
}

// share is an equal part of the time that is left, with what those before did not use.
func share(ctx context.Context, among int) (context.Context, context.CancelFunc) {
	end, limited := ctx.Deadline()
	if !limited || among < 2 {
		return context.WithCancel(ctx)
	}
	part := time.Until(end) / time.Duration(among)
	return context.WithTimeoutCause(ctx, part, fmt.Errorf("not done within %v, its share of the limit", part.Round(time.Millisecond)))
}

// nbdCommand: one connection, for a second would only be allowed by a server that promises more than
// most do; a timeout, without which nothing but a disconnection ends a hang; and never -persist, which
// does not save a filesystem: its journal is aborted at the first error.
func (w *work) nbdCommand(server netip.Addr) []string {
	seconds := int(math.Ceil(w.NBD.Timeout.Seconds()))
	args := []string{"nbd-client", "-timeout", strconv.Itoa(seconds)}
	if w.NBD.Export != "" {
		args = append(args, "-name", w.NBD.Export)
	}
	return append(args, server.String(), strconv.Itoa(w.NBD.Port), w.Path)
}

// detach settles the device first: if it answers, every request before was answered, too.
func (w *work) detach(ctx context.Context) error {
	ours, err := w.detachable(ctx)
	if err != nil || !ours {
		return err
	}
	w.rest.Settled = settle(ctx, w.Path, w.Limits.Detach/2) == nil
	point("detach", "before")
	if err := w.disconnect(ctx); err != nil {
		return err
	}
	if err := w.waitDetached(ctx); err != nil {
		return err
	}
	point("detach", "after")
	return w.state.detached(!w.rest.Settled)
}

// detachable: it is attached, by us, and nobody has it mounted any more, here or where we do not see it.
func (w *work) detachable(ctx context.Context) (bool, error) {
	now, err := w.mark()
	switch {
	case err != nil:
		return false, err
	case now == "" && w.state.rec.Mark != "":
		return false, w.state.detached(true) // it was there, and went by itself
	case now == "":
		return false, w.undoHalf(ctx)
	case !w.state.rec.Begun, w.state.rec.Mark != "" && w.state.rec.Mark != now:
		return false, nil // not ours to take away
	}
	points, err := w.mountedAt()
	if err == nil && len(points) > 0 {
		err = fmt.Errorf("it is mounted at %s", strings.Join(points, ", "))
	}
	if err == nil {
		err = w.unclaimed(ctx)
	}
	return err == nil, err
}

// undoHalf detaches what is not there, for the command that attaches may have been ended between its steps. That
// it refuses then says nothing.
func (w *work) undoHalf(ctx context.Context) error {
	if w.state.rec.Begun && w.NBD.Host == "" {
		var f *failure
		if err := w.command(ctx, w.Detach); err != nil && !errors.As(err, &f) {
			return err
		}
		if err := w.waitDetached(ctx); err != nil {
			return err
		}
	}
	return w.state.detached(false)
}

// unclaimed gives those who are about to go a moment. Who has claimed the device would lose what he writes by
// its detachment. One that hangs or cannot be opened is in nobody's use, or can be freed by nothing else.
func (w *work) unclaimed(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, w.Limits.Detach/4)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for was := error(nil); ; {
		err := within(ctx, func() error { return w.claimed(ctx) })
		switch {
		case ctx.Err() != nil:
			return was
		case !errors.Is(err, errClaimed):
			return nil
		}
		was = err
		select {
		case <-ctx.Done():
			return was
		case <-tick.C:
		}
	}
}

func (w *work) disconnect(ctx context.Context) error {
	if w.NBD.Host != "" {
		return w.command(ctx, []string{"nbd-client", "-d", w.Path})
	}
	return w.command(ctx, w.Detach)
}

// waitDetached: detaching can be lazy, with success and nothing happening.
func (w *work) waitDetached(ctx context.Context) error {
	_, err := w.waitFor(ctx, func(mark string) bool { return mark == "" })
	if errors.Is(err, errNotYet) {
		return errors.New("it is still attached, although its detachment succeeded: something uses it: see fuser -m, lsof, and mounts in other namespaces")
	}
	return err
}

var errNotYet = errors.New("not within the limit")

// waitFor looks until the mark is right: device nodes come and go a moment after the command.
func (w *work) waitFor(ctx context.Context, right func(mark string) bool) (string, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		now, err := w.mark()
		if err != nil || right(now) {
			return now, err
		}
		select {
		case <-ctx.Done():
			return now, errNotYet
		case <-tick.C:
		}
	}
}
