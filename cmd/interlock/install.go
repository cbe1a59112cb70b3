package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/durable"
	"github.com/interlock-run/interlock/internal/exit"
)

func installCommand() *cli.Command {
	return &cli.Command{
		Name:      "install",
		Usage:     "copy this program into the directory DIR, as DIR/interlock: an image of one file has no cp",
		ArgsUsage: "DIR",
		Action:    install,
	}
}

func install(c *cli.Context) error {
	if err := noCommand(c); err != nil {
		return err
	}
	if c.NArg() != 1 || c.Args().First() == "" {
		return exit.Withf(exit.Usage, "install: found the arguments %q: expected one DIR", c.Args().Slice())
	}
	path, err := installSelf(c.Args().First())
	if err != nil {
		return exit.With(exit.Restore, err)
	}
	fmt.Fprintln(c.App.Writer, path)
	var st unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(path), &st); err == nil && st.Flags&unix.ST_NOEXEC != 0 {
		fmt.Fprintf(c.App.ErrWriter, "interlock: warning: %s is mounted noexec: what is installed there cannot be run from there\n", filepath.Dir(path))
	}
	return nil
}

// unfinished is what a copy is called until it is whole.
const unfinished = ".interlock-install-"

// installSelf copies the running program. What has the name already is replaced in one step, so that an
// init container that is run again, or dies half-way, never leaves half a program under it.
func installSelf(dir string) (string, error) {
	path := filepath.Join(dir, "interlock")
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return "", fmt.Errorf("cannot read this program: %w: is /proc mounted?", err)
	}
	defer self.Close()
	if err := sweepUnfinished(dir); err != nil {
		return "", fmt.Errorf("cannot install in %q: %w%s", dir, err, durable.Hint(err))
	}
	tmp, err := os.CreateTemp(dir, unfinished)
	if err != nil {
		return "", fmt.Errorf("cannot install in %q: %w%s", dir, err, durable.Hint(err))
	}
	defer tmp.Close() // written and synced by then; until then the lock says that somebody is at it
	if err = fill(tmp, self); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(tmp.Name()))
		return "", fmt.Errorf("cannot install %q: %w%s", path, err, durable.Hint(err))
	}
	return path, syncDir(dir)
}

// fill writes the program, for every user to run: the container beside has another one.
func fill(to, from *os.File) error {
	// Where there are no locks, nobody removes what was left either.
	_ = unix.Flock(int(to.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	_, err := io.Copy(to, from)
	if err == nil {
		err = to.Chmod(0o755)
	}
	if err == nil {
		err = to.Sync()
	}
	return err
}

// sweepUnfinished removes copies that nobody is at any more: those of an init container that is killed again
// and again would fill a volume of limited size.
func sweepUnfinished(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !strings.HasPrefix(e.Name(), unfinished) {
			continue
		}
		rerr := removeAbandoned(filepath.Join(dir, e.Name()))
		if rerr != nil && !errors.Is(rerr, fs.ErrNotExist) && !errors.Is(rerr, fs.ErrPermission) { // gone, or another user's
			err = errors.Join(err, rerr)
		}
	}
	return err
}

func removeAbandoned(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close() // only locked
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return nil // another install is at it, or it cannot be told
	}
	return os.Remove(path)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("cannot open %q for fsync: %w", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("cannot fsync %q: %w%s", dir, err, durable.Hint(err))
	}
	return nil
}
