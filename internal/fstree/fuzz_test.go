package fstree

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// entriesOf makes entries of bytes, hostile ones mostly: what a damaged manifest may say.
func entriesOf(data []byte) []Entry {
	take := func() byte {
		if len(data) == 0 {
			return 0
		}
		b := data[0]
		data = data[1:]
		return b
	}
	text := func() string {
		parts := [...]string{"..", "/", "a", "b", "d", "..", ".", "\x00", "canary", "file", "link", "sub", "/", "/", ".interlock", aside}
		s := ""
		for range take() % 8 {
			s += parts[take()%16]
		}
		return s
	}
	var all []Entry
	for len(data) > 0 && len(all) < 30 {
		e := Entry{Path: text(), Kind: Kind(take() % 8), Meta: Meta{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}}
		e.Mode = uint32(take()) << 4
		e.Size = int64(take()) - 5
		switch e.Kind {
		case Symlink:
			e.Size, e.Target = 0, text()
		case Dir, FIFO:
			e.Size = 0
		}
		if take()%4 == 0 {
			e.Link, e.Size = text(), 0
		}
		if take()%8 == 0 {
			e.Xattrs = []Xattr{{Name: "user." + text(), Value: []byte("v")}}
		}
		all = append(all, e)
	}
	return all
}

// Whatever comes, nothing outside of the target is touched, and nothing panics.
func FuzzApply(f *testing.F) {
	f.Add([]byte("\x03\x00\x01\x08\x01\x01\x05\x06"), uint8(0))
	f.Add([]byte("\x01\x04\x02\x01\x00\x01\x01\x03\x04\x01\x09\x01\x20\x01\x01"), uint8(1))
	f.Add([]byte("\x01\x0a\x03\x00\x03\x00\x01\x08\x01\x01\x03\x0a\x0c\x09\x01\x20\x05\x01\x01"), uint8(2))
	f.Fuzz(func(t *testing.T, data []byte, how uint8) {
		dir, err := os.MkdirTemp("/dev/shm", "fuzz")
		must(t, err)
		defer func() { must(t, os.RemoveAll(dir)) }()
		c := newCanary(t, dir)
		to := mkdir(t, dir, "to")
		mkdir(t, to, "a/b")
		must(t, os.Symlink("../canary", filepath.Join(to, "link")))
		must(t, os.Symlink("../../canary/sub", filepath.Join(to, "a/d")))
		must(t, unix.Mkfifo(filepath.Join(to, "b"), 0o600))
		g, err := OpenTarget(to, TargetOptions{Ours: how%2 == 0, Sentinels: []string{"a/file", "d"}})
		must(t, err)
		all := entriesOf(data)
		fill := func(w *Writer, e Entry) error {
			_, err := w.WriteAt([]byte("EVIL"), 0)
			return errors.Join(err, w.Hole(1, e.Size))
		}
		_ = apply(g, all, fill) //nolint:errcheck // what it says does not matter here
		for _, e := range all {
			_ = applyOne(g, e, fill)        //nolint:errcheck // as above
			_ = g.Sweep(stream([]Entry{e})) //nolint:errcheck // as above
			_ = g.Seal(stream([]Entry{e}))  //nolint:errcheck // as above
		}
		_ = g.Finish() //nolint:errcheck // as above
		must(t, g.Close())
		c.check(t)
		if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
			t.Fatalf("beside the target lies %v %v", left, err)
		}
	})
}
