package device

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/mountcheck"
)

// accountFits tells what keeps the account of the attachment from being kept on this node. A network filesystem is not
// touched: it may hang.
func (s Spec) accountFits() error {
	m, err := mountcheck.Trace(s.State)
	switch {
	case err != nil:
		return fmt.Errorf("state directory %s: %w", s.State, err)
	case s.State == s.Point || strings.HasPrefix(s.State, s.Point+"/"):
		return fmt.Errorf("the state directory %s lies on the device itself: expected a place outside %s", s.State, s.Point)
	case mountcheck.Network(m.FSType, m.Source, m.Options+","+m.Super):
		return fmt.Errorf("the state directory %s is on %s: expected a disk or the memory of this machine: what is noted there is of this node alone, and has to be read when the network is away", s.State, m)
	}
	for _, dir := range []string{filepath.Dir(s.State), s.State, filepath.Join(s.State, s.Name)} {
		there, err := directory(dir, dir == filepath.Dir(s.State))
		if err != nil {
			return fmt.Errorf("the state directory %s cannot be used: %w", s.State, err)
		}
		if !there {
			return s.makeable(dir)
		}
	}
	if err := writable(filepath.Join(s.State, s.Name)); err != nil {
		return fmt.Errorf("the account of the device cannot be written: %w", err)
	}
	return s.accountReadable()
}

// makeable tells whether the first directory that is missing can be made; the parent of all is not made.
func (s Spec) makeable(missing string) error {
	above := filepath.Dir(missing)
	if missing == filepath.Dir(s.State) {
		return fmt.Errorf("the state directory %s cannot be made: %s does not exist: make it", s.State, missing)
	}
	if err := writable(above); err != nil {
		return fmt.Errorf("%s cannot be made: %w", missing, err)
	}
	return nil
}

func writable(dir string) error {
	if err := unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		return fmt.Errorf("%s cannot be written to: %w", dir, err)
	}
	return nil
}

// directory tells whether there is one; a symbolic link counts only among those above.
func directory(path string, linked bool) (bool, error) {
	look := os.Lstat
	if linked {
		look = os.Stat
	}
	st, err := look(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case !st.IsDir():
		return false, fmt.Errorf("%s is no directory: expected one, and no symbolic link", path)
	}
	return true, nil
}

func (s Spec) accountReadable() error {
	_, err := s.recorded()
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("the account of the device in %s: %w: see whether %s is attached, then remove it", filepath.Join(s.State, s.Name), err, s.Path)
}

// recorded is the account as it is, without the lock: a moment later it may be another.
func (s Spec) recorded() (r record, err error) {
	raw, err := os.ReadFile(filepath.Join(s.State, s.Name, stateFile))
	if err != nil {
		return r, err
	}
	if err = json.Unmarshal(raw, &r); err == nil && r.V != recordVersion {
		err = fmt.Errorf("it is of version %d, expected %d", r.V, recordVersion)
	}
	return r, err
}

// Forgetful tells whether the account goes with the container that this process runs in, and what it lies on then.
func Forgetful(s Spec) (on string, forgetful bool) {
	m, err := mountcheck.Trace(s.State)
	return m.String(), err == nil && m.FSType == "overlay"
}
