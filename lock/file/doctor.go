package file

import (
	"context"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/lock"
)

// Diagnose looks at path, filesystem and file, and neither creates nor locks anything.
func (d *driver) Diagnose(ctx context.Context) []lock.Diagnosis {
	var lines []lock.Diagnosis
	err := d.bounded(ctx, "look at it", func() error {
		found, err := diagnose(d.path)
		if err == nil {
			lines = found
		}
		return err
	})
	if err != nil {
		return []lock.Diagnosis{{Level: "fail", What: err.Error(), Do: "put right what the message names"}}
	}
	return lines
}

func diagnose(path string) ([]lock.Diagnosis, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	if _, err := look(path); err != nil {
		return nil, err
	}
	var st unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(path), &st); err != nil {
		return nil, classify(path, "ask for its filesystem", err)
	}
	lines := []lock.Diagnosis{{Level: "ok", What: "lock file " + path + " can be used; it locks within this host only"}}
	switch uint32(st.Type) {
	case overlayMagic:
		lines = append(lines, lock.Diagnosis{Level: "warn", What: "lock file " + path + " lies on overlayfs: another container has a file of its own there",
			Do: "mount a directory of the host into all containers, and put the lock file there"})
	case tmpfsMagic, ramfsMagic:
		lines = append(lines, lock.Diagnosis{Level: "warn", What: "lock file " + path + " lies in memory: after a restart of the host its fencing token counts from 1 again",
			Do: "name a path on a disk"})
	}
	return lines, nil
}
