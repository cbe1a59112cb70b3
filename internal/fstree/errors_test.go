package fstree

import (
	"errors"
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
