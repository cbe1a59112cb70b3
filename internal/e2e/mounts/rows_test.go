package mounts

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/ordeal"
	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// A row is one fault of a filesystem, made below a run.
type row struct {
	fault, findings string // separated by "|"; none: the run goes on without one
	short           bool   // also in the short form of the tests
	through         bool   // the run goes on beyond the fault
	expect          string // of --mount
}

// wanted tells whether the row is run in this form of the tests.
func (r row) wanted() bool { return r.short || testkit.Long() }

// play is the row's own part of a case.
func (r row) play(t *testing.T, x ordeal.Case) {
	t.Helper()
	x.Fault, x.Expect, x.Through = r.fault, x.Expect+r.expect, r.through
	x.Ignored = strings.HasSuffix(r.expect, ":ignore")
	if r.findings != "" {
		x.Findings = strings.Split(r.findings, "|")
	}
	ordeal.Run(t, x)
}

// arrived is what a file has now.
func arrived(path string) func() string {
	return func() string {
		text, err := os.ReadFile(path)
		if err != nil {
			return err.Error()
		}
		return string(text)
	}
}

// latest is the newest moment that the payload has written to any file of a tree: where a server keeps its
// data in files of its own.
func latest(dir string) func() string {
	moment := regexp.MustCompile(`[0-9]{20}\n`)
	return func() string {
		var newest []byte
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error { // files come and go
			if err != nil || !d.Type().IsRegular() {
				return nil
			}
			text, err := os.ReadFile(path)
			if found := moment.Find(text); err == nil && bytes.Compare(found, newest) > 0 {
				newest = found
			}
			return nil
		})
		return string(newest)
	}
}

// fresh takes what an earlier row left, once the filesystem is right again.
func fresh(t *testing.T, x ordeal.Case) {
	t.Helper()
	testkit.Wait(t, limit, func() (bool, string) {
		code, out, errs := scene.Interlock(t, "mount", "check", "--mount", x.Mount+x.Expect)
		return code == 0, out + errs
	})
	must(t, os.RemoveAll(filepath.Join(x.Mount, ".interlock")))
	must(t, os.RemoveAll(filepath.Join(x.Mount, "data")))
}

// mounted tells whether something is mounted there.
func mounted(dir string) bool { return slices.Contains(testkit.MountsBelow(filepath.Dir(dir)), dir) }
