package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

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
	return nil
}

// installSelf copies the running program. What has the name already is replaced in one step, so that an
// init container that is run again, or dies half-way, never leaves half a program under it.
func installSelf(dir string) (string, error) {
	path := filepath.Join(dir, "interlock")
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return "", fmt.Errorf("cannot read this program: %w: is /proc mounted?", err)
	}
	defer self.Close()
	tmp, err := os.CreateTemp(dir, ".interlock-")
	if err != nil {
		return "", fmt.Errorf("cannot install in %q: %w%s", dir, err, durable.Hint(err))
	}
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
	_, err := io.Copy(to, from)
	if err == nil {
		err = to.Chmod(0o755)
	}
	if err == nil {
		err = to.Sync()
	}
	return errors.Join(err, to.Close())
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
