package fstree

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestOneHint: an error that passes through several hands says once what to do.
func TestOneHint(t *testing.T) {
	err := failed("create", "f", failed("remove", "f", unix.EACCES))
	if !errors.Is(err, unix.EACCES) || strings.Count(err.Error(), "give it access") != 1 {
		t.Error(err)
	}
}

// TestOpenSaysLink: a directory behind a symbolic link is not taken for one that is missing or no directory.
func TestOpenSaysLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	link, file := filepath.Join(dir, "link"), filepath.Join(dir, "file")
	must(t, os.Symlink(dir, link))
	must(t, os.WriteFile(file, nil, 0o600))
	if _, err := Open(link, Options{}); !errors.Is(err, unix.ENOTDIR) || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("%v: expected it to be called a symbolic link", err)
	}
	if _, err := Open(file, Options{}); !errors.Is(err, unix.ENOTDIR) || strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("%v: expected it not to be called a symbolic link", err)
	}
}
