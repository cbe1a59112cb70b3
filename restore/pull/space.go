package pull

import (
	"errors"
	"fmt"

	"github.com/interlock-run/interlock/internal/durable"
	"github.com/interlock-run/interlock/internal/fstree"
	"golang.org/x/sys/unix"
)

// Filesystems that compress: what fits cannot be told beforehand.
const (
	magicBtrfs = 0x9123683e
	magicZFS   = 0x2fc12fc1
)

// room refuses a restore that cannot fit, before anything is touched. What lies there already is counted
// as if all of it could be used again: what is only likely is tried.
func room(data string, v survey, nonempty bool) error {
	var fs unix.Statfs_t
	if err := durable.Retry(func() error { return unix.Statfs(data, &fs) }); err != nil {
		return fmt.Errorf("free space of %q: %w%s", data, err, durable.Hint(err))
	}
	if fs.Type == magicBtrfs || fs.Type == magicZFS || fs.Blocks == 0 {
		return nil
	}
	if !nonempty && fs.Files > 0 && int64(fs.Ffree) < v.entries {
		return fmt.Errorf("%q: the snapshot has %d entries, free are %d inodes: make room first; nothing was changed", data, v.entries, fs.Ffree)
	}
	free := int64(fs.Bavail) * fs.Bsize
	if unix.Geteuid() == 0 {
		free = int64(fs.Bfree) * fs.Bsize // what is reserved for root
	}
	if free >= v.space {
		return nil
	}
	used := int64(0)
	if nonempty {
		var err error
		if used, err = taken(data); err != nil {
			return err
		}
	}
	if free+used < v.space {
		return fmt.Errorf("%q: the snapshot needs %d KiB, free are %d KiB and what lies there has %d KiB: make room first; nothing was changed", data, v.space>>10, free>>10, used>>10)
	}
	return nil
}

// taken is how many bytes lie in a tree, at most.
func taken(data string) (int64, error) {
	t, err := fstree.Open(data, fstree.Options{})
	if err != nil {
		return 0, err
	}
	used := int64(0)
	for e, err := range t.Walk() {
		if err != nil && !fstree.Moving(err) {
			return 0, errors.Join(err, t.Close())
		}
		used += (e.Size + block - 1) / block * block
	}
	return used, t.Close()
}
