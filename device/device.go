// Package device brings a block device with a filesystem up and takes it down again: attach, look whether
// it is the right one and nobody else's, repair, mount; sync, unmount, settle, detach.
//
// Promise: a step that an earlier try of the same tenure has done is recognised, by looking at the device
// itself, and not done again; what an earlier tenure left is taken away first, without writing what is in
// memory where the device can be cut off, as after a loss of power: another node may have written since. A
// failure undoes what this try has done, in order, and says what could not be undone; nothing is repaired,
// mounted or detached that is not what was attached here. Every step has a limit; one that hangs is said to,
// and stays the caller's to deal with. Non-promise: that nobody uses the device on another node: that is the
// lock's, and the server's limit of one client. It is no claim on this node either: two that run it for the
// same device at once are kept apart by the state's lock alone. Called by internal/courier in the kill domain:
// Up under the lease before the mount check, Down after the payload's death, Cut when the lease is lost;
// Foresee by whoever wants to know early why an Up would fail.
package device

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// A Spec is one device with its filesystem.
type Spec struct {
	Name    string // of the state file; as a file name
	Path    string // the device, /dev/…
	NBD     NBD    // or, where its Host is empty:
	Attach  []string
	Detach  []string
	FSType  string // ext4 or xfs
	UUID    string // of the filesystem; empty: any
	Point   string // where it is mounted; must be there
	Options string // of mount(8), e.g. "noatime,errors=remount-ro"
	State   string // directory of the state file: on this node, not on the device; made if it is not there
	Tenure  Tenure
	WasUp   bool // of Down: an Up of this tenure succeeded
	Check   FSCheck
	Limits  Limits
	Env     []string          `json:"-"` // of the commands, before PATH and LC_ALL
	Tell    func(step string) `json:"-"` // is told which step begins; nil: nobody
}

// A Tenure says for whom the device is up. An attachment that is on record for another tenure of the same
// lock is a left-over; one for another lock is in use.
type Tenure struct{ Lock, Token string }

// FSCheck is how the filesystem is looked at before it is mounted.
type FSCheck struct {
	Never   bool     // run no e2fsck; the mount replays the journal all the same
	Command []string // instead of e2fsck -p; gets the device as its last argument, and must end with 0
	Verify  bool     // then read the whole filesystem, and refuse it with any error left
}

// NBD is an export that is attached by nbd-client, with one connection.
type NBD struct {
	Host    string
	Port    int           // default 10809
	Export  string        // its name, empty: the server's default
	Timeout time.Duration // after which the kernel gives a request up; default 30s
}

// Limits bound the steps. A repair with multiple-mount protection takes most of a minute at its best.
type Limits struct {
	Attach time.Duration // default 1m
	Repair time.Duration // default 30m
	Mount  time.Duration // default 5m: a journal is replayed
	Detach time.Duration // default 1m; of each of settle, unmount and detach
}

func (s Spec) withDefaults() Spec {
	for _, d := range []struct {
		value *time.Duration
		other time.Duration
	}{
		{&s.Limits.Attach, time.Minute}, {&s.Limits.Repair, 30 * time.Minute}, {&s.Limits.Mount, 5 * time.Minute},
		{&s.Limits.Detach, time.Minute}, {&s.NBD.Timeout, 30 * time.Second},
	} {
		if *d.value <= 0 {
			*d.value = d.other
		}
	}
	if s.NBD.Port == 0 {
		s.NBD.Port = 10809
	}
	s.Options = s.options()
	return s
}

// options: an ext4 whose own structures are found damaged must not be written on, whatever its superblock says.
func (s Spec) options() string {
	if s.FSType != "ext4" || strings.Contains(","+s.Options, ",errors=") {
		return s.Options
	}
	return strings.TrimPrefix(s.Options+",errors=remount-ro", ",")
}

// Validate refuses what makes no sense, all of it at once.
func (s Spec) Validate() error {
	var errs []error
	for _, p := range []struct{ what, path string }{{"device", s.Path}, {"mountpoint", s.Point}, {"state directory", s.State}} {
		if !filepath.IsAbs(p.path) || filepath.Clean(p.path) != p.path {
			errs = append(errs, fmt.Errorf("%s %q: expected an absolute, clean path", p.what, p.path))
		}
	}
	if s.Name == "" || filepath.Base(s.Name) != s.Name {
		errs = append(errs, fmt.Errorf("name %q: expected that of a file", s.Name))
	}
	if s.FSType != "ext4" && s.FSType != "xfs" {
		errs = append(errs, fmt.Errorf("filesystem %q: expected ext4 or xfs", s.FSType))
	}
	switch byCommand := len(s.Attach) > 0 && len(s.Detach) > 0; {
	case s.NBD.Host == "" && !byCommand:
		errs = append(errs, errors.New("nothing says how to attach: expected an nbd server, or a command to attach and one to detach"))
	case s.NBD.Host != "" && len(s.Attach)+len(s.Detach) > 0:
		errs = append(errs, errors.New("two ways to attach: expected an nbd server or commands, not both"))
	}
	return errors.Join(errs...)
}

// ErrNotBegun is an Up that has done nothing, not even looked, so that there is nothing to take down.
var ErrNotBegun = errors.New("nothing was attached")

// Up brings the device up as far as mounted. On an error all that it did is undone, as far as that goes.
func Up(ctx context.Context, s Spec) error {
	w, err := begin(s)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotBegun, err)
	}
	return errors.Join(w.up(ctx), w.close())
}

// A Rest is what Down has found out for whoever asks whether the device is drained.
type Rest struct {
	// Synced: the filesystem was synced without an error before the unmount, or was not mounted.
	Synced bool
	// Settled: after the unmount the device answered a flush and a read.
	Settled bool
	// Loose: the last attachment, which may have been that of an Up that failed, ended without such an answer.
	Loose bool
}

// Down takes it down. It may be called for a device that is half up, or down, or somebody else's, which is left
// as it is.
func Down(ctx context.Context, s Spec) (Rest, error) {
	w, err := begin(s)
	if err != nil {
		return Rest{}, err
	}
	err = w.down(ctx)
	return w.rest, errors.Join(err, w.close())
}

// Cut takes it down so that as little as possible is written any more: a network block device is
// disconnected first, another filesystem shut down. What was synced stays; the rest is lost, as after a loss
// of power.
func Cut(ctx context.Context, s Spec) error {
	w, err := begin(s)
	if err != nil {
		return err
	}
	return errors.Join(w.cut(ctx), w.close())
}
